"""From pulses to a clock: match them with the frames, fit the drift, and say what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.triggers import TriggerReport, find_triggers
from napari_biofm.types import TimelineError

if TYPE_CHECKING:
    from napari_biofm.signals import Recording


@dataclass(frozen=True)
class DriftFit:
    """A straight line through frame times: how one clock runs against the other.

    Attributes
    ----------
    offset : second at which frame 0 began.
    period : seconds per frame.
    drift : relative difference of the camera's clock from the recording's; NaN without a nominal rate.
    jitter : root mean square distance of the pulses from the line, seconds.
    """

    offset: float
    period: float
    drift: float
    jitter: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """A clock, the drift fitted to its pulses, and what the user must know about it."""

    clock: Clock
    fit: DriftFit
    notes: tuple[str, ...]


def fit_drift(times: NDArray[np.float64], frame_rate: float | None = None) -> DriftFit:
    """Fit offset and drift to frame times by least squares, twice: the second time without outliers.

    Parameters
    ----------
    times : (n,) seconds of frames 0 .. n - 1, n >= 2.
    frame_rate : nominal rate on the camera's own clock, Hz.

    Raises
    ------
    TimelineError
        If there are fewer than two times.
    """
    times = np.asarray(times, float)
    if len(times) < 2:
        raise TimelineError(f"A drift needs at least two frame times; there are {len(times)}.")
    frames, keep = np.arange(len(times)), np.ones(len(times), bool)
    period = offset = 0.0
    for _ in range(2):
        period, offset = np.polynomial.polynomial.polyfit(frames[keep], times[keep], 1)[::-1]
        distance = np.abs(times - offset - period * frames)
        limit = 5 * 1.4826 * np.median(distance[keep])
        keep = distance <= max(limit, 1e-9)
        if keep.sum() < 2:
            keep[:] = True
    jitter = float(np.sqrt(np.mean(distance[keep] ** 2)))
    drift = period * frame_rate - 1 if frame_rate else float("nan")
    return DriftFit(float(offset), float(period), float(drift), jitter)


def clock_from_triggers(
    report: TriggerReport, n_frames: int, frame_rate: float | None = None, recording: str = ""
) -> Alignment:
    """Give every frame of a movie a second, from the pulses found in a recording.

    Parameters
    ----------
    report : of `find_triggers`.
    n_frames : of the movie.
    frame_rate : nominal rate of the movie, Hz, if known; it tells a camera that sent a pulse for every
        second frame from a recording that ended early.
    recording : id of the recording the pulses are in.

    Raises
    ------
    TimelineError
        If the movie has no frames.
    """
    if n_frames < 1:
        raise TimelineError("The movie has no frames; open another one.")
    notes, times, every = report.in_words(), report.times, 1
    ratio = report.period * frame_rate if frame_rate else 1.0
    if ratio > 1.5 and abs(ratio - round(ratio)) < 0.1:
        every = round(ratio)
        times = _between(times, every)
        notes.append(f"One pulse for {every} frames: the frames between were placed evenly.")
    elif abs(ratio - 1) > 0.05:
        notes.append(
            f"Pulses come at {1 / report.period:.4g} Hz, the movie says {frame_rate:.4g} Hz: "
            "the pulses are used."
        )
    fit = fit_drift(times[: max(n_frames, 2)], frame_rate if every > 1 or abs(ratio - 1) <= 0.05 else None)
    if len(times) > n_frames:
        notes.append(
            f"{len(times) - n_frames} pulses more than the movie has frames: the first {n_frames} were used."
        )
        times = times[:n_frames]
    elif len(times) < n_frames:
        lacking = n_frames - len(times)
        later = times[-1] + fit.period * np.arange(1, lacking + 1)
        notes.append(
            f"Pulses for {len(times)} of {n_frames} frames: the times of the last {lacking} were continued "
            f"at {1 / fit.period:.4g} Hz. If the camera sent a pulse for every second frame only, type "
            "its frame rate."
        )
        times = np.concatenate([times, later])
    if np.isfinite(fit.drift):
        notes.append(
            f"Frame 0 at {fit.offset:.4f} s, drift {1e6 * fit.drift:+.1f} ppm, "
            f"jitter {1e3 * fit.jitter:.3g} ms."
        )
    return Alignment(Clock(times, "frame pulses", recording), fit, tuple(notes))


def _between(times: NDArray[np.float64], every: int) -> NDArray[np.float64]:
    """Return the times of all frames where only each `every`-th had a pulse."""
    steps = np.arange(len(times) * every) / every
    inside = np.interp(steps, np.arange(len(times)), times)
    beyond = steps - np.clip(steps, 0, len(times) - 1)
    return np.asarray(inside + beyond * float(np.median(np.diff(times))))


def align_to_channel(
    recording: Recording, channel: int, n_frames: int, frame_rate: float | None = None, name: str = ""
) -> Alignment:
    """Find the pulses in a channel of a recording, over all its sweeps, and make the movie's clock.

    Parameters
    ----------
    recording : that holds the trigger channel.
    channel : counted from 0.
    n_frames, frame_rate : of the movie; see `clock_from_triggers`.
    name : id of the recording in the session.

    Raises
    ------
    TimelineError
        If the channel holds no usable pulses.
    """
    sweeps = [recording.values(sweep, channel) for sweep in range(recording.n_sweeps)]
    report = find_triggers(sweeps, recording.channels[channel].sampling_rate, recording.sweep_starts)
    return clock_from_triggers(report, n_frames, frame_rate, name)


def likely_trigger(recording: Recording) -> int | None:
    """Return the channel whose name sounds like a frame trigger, or None."""
    words = ("frame", "trig", "ttl", "cam", "sync", "expos", "shutter")
    for i, channel in enumerate(recording.channels):
        if any(word in channel.name.lower() for word in words):
            return i
    return None
