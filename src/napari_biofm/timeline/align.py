"""From pulses to a clock: match them with the frames, fit the drift, and say what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.explain import decide, explain, leave_out
from napari_biofm.timeline.explanations import Explanation
from napari_biofm.timeline.triggers import Edge, Pulses, time_weighted_median, triggers_of
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
    """A clock, the drift fitted to its pulses, what the user must know about it, and how it was explained.

    `assumed` is the part of the notes that says what the channel cannot tell.
    """

    clock: Clock
    fit: DriftFit
    notes: tuple[str, ...]
    explanation: str = "all"
    assumed: tuple[str, ...] = ()


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
    pulses: Pulses,
    n_frames: int,
    frame_rate: float | None = None,
    recording: str = "",
    *,
    choice: str = "auto",
    skipped: Sequence[int] = (),
) -> Alignment:
    """Give every frame of a movie a second, from the pulses found in a recording.

    A clock is only made where pulses and frames agree (see `explanations`), or where a person chose what
    the pulses mean.

    Parameters
    ----------
    pulses : of `find_triggers`.
    n_frames : of the movie.
    frame_rate : nominal rate of the movie, Hz, if known; it tells several pulses for a frame, or one
        for several frames, from other reasons why there are more or fewer pulses than frames.
    recording : id of the recording the pulses are in.
    choice : name of an explanation, or "auto" for the one that is certain.
    skipped : numbers of frames the camera took but the file does not hold, counted from 0; they have a
        pulse and are left out.

    Raises
    ------
    ClockUnclearError
        If pulses and frames do not agree, or in more than one way; it carries the explanations.
    TimelineError
        If the movie has no frames, or the choice does not exist.
    """
    taken = n_frames + len(set(skipped)) if n_frames >= 1 else n_frames
    explanations = explain(pulses, taken, frame_rate)
    return clock_from_explanations(
        pulses, explanations, n_frames, frame_rate, recording, choice=choice, skipped=skipped
    )


def clock_from_explanations(
    pulses: Pulses,
    explanations: Sequence[Explanation],
    n_frames: int,
    frame_rate: float | None = None,
    recording: str = "",
    *,
    choice: str = "auto",
    skipped: Sequence[int] = (),
) -> Alignment:
    """Make the clock of what pulses are known to mean; see `clock_from_triggers`.

    Parameters
    ----------
    explanations : of `explain`, for the frames of the movie and the skipped ones.
    """
    taken = n_frames + len(set(skipped))
    chosen = decide(explanations, pulses, taken, choice, frame_rate)
    if skipped:
        chosen = leave_out(chosen, skipped, n_frames)
    return _alignment(chosen, pulses, frame_rate, recording)


def _alignment(chosen: Explanation, pulses: Pulses, frame_rate: float | None, recording: str) -> Alignment:
    """Make the clock of an explanation, fit its drift, and say what was done."""
    notes = [pulses.describe(), chosen.text, *chosen.assumed]
    if not pulses.edge_is_clear:
        notes.append(
            "The level between pulses was not seen: the rising edge was taken. If frames begin at the "
            "other edge, choose it."
        )
    if chosen.extrapolated:
        notes.append(f"The times of {chosen.extrapolated} frames have no pulse: continued at the same rate.")
    paused = pauses(chosen.times)
    if paused:
        notes.append(f"The camera paused {paused} times; no frames were put into the pauses.")
    fits = frame_rate is not None and abs(chosen.period * frame_rate - 1) <= 0.05
    if frame_rate and len(chosen.times) > 1 and not fits:
        notes.append(
            f"Frames come at {1 / chosen.period:.4g} Hz by the pulses, the movie says {frame_rate:.4g} Hz: "
            "the pulses are used."
        )
    if len(chosen.times) < 2:
        fit = DriftFit(float(chosen.times[0]), float("nan"), float("nan"), 0.0)
    else:
        fit = fit_drift(chosen.times, frame_rate if fits and not paused else None)
    if np.isfinite(fit.drift):
        notes.append(
            f"Frame 0 at {fit.offset:.4f} s, drift {1e6 * fit.drift:+.1f} ppm, "
            f"jitter {1e3 * fit.jitter:.3g} ms."
        )
    source = "frame pulses" if chosen.name == "all" else f"frame pulses ({chosen.name})"
    return Alignment(Clock(chosen.times, source, recording), fit, tuple(notes), chosen.name, chosen.assumed)


def pauses(times: NDArray[np.float64]) -> int:
    """Return the number of gaps between frames longer than one and a half periods."""
    intervals = np.diff(times)
    return int((intervals > 1.5 * time_weighted_median(intervals)).sum()) if len(intervals) else 0


def align_to_channel(
    recording: Recording,
    channel: int,
    n_frames: int,
    frame_rate: float | None = None,
    name: str = "",
    *,
    choice: str = "auto",
    skipped: Sequence[int] = (),
    edge: Edge = "auto",
) -> Alignment:
    """Find the pulses in a channel of a recording, over all its sweeps, and make the movie's clock.

    Parameters
    ----------
    recording : that holds the trigger channel.
    channel : counted from 0.
    n_frames, frame_rate : of the movie; see `clock_from_triggers`.
    name : id of the recording in the session.
    choice, skipped : see `clock_from_triggers`.
    edge : which edge begins a frame; see `find_triggers`.

    Raises
    ------
    ClockUnclearError
        If pulses and frames do not agree, or in more than one way; it carries the explanations.
    TimelineError
        If the channel holds no usable pulses.
    """
    pulses = triggers_of(recording, channel, edge)
    return clock_from_triggers(pulses, n_frames, frame_rate, name, choice=choice, skipped=skipped)


def explain_channel(
    recording: Recording, channel: int, n_frames: int, frame_rate: float | None = None, edge: Edge = "auto"
) -> tuple[Pulses, list[Explanation]]:
    """Find the pulses of a channel and return them with what they may mean, the most likely first.

    Parameters
    ----------
    recording, channel, n_frames, frame_rate, edge : see `align_to_channel`.
    """
    pulses = triggers_of(recording, channel, edge)
    return pulses, explain(pulses, n_frames, frame_rate)


FRAME_WORDS = ("frame", "cam", "expos", "2p", "scan", "imaging")
TRIGGER_WORDS = ("trig", "ttl", "sync", "shutter", "clock")
OTHER_WORDS = ("stim", "opto", "laser", "led", "light", "shock", "lick", "reward", "puff", "tone", "sound",
               "odor", "odour", "wheel", "valve", "whisk", "button", "pupil")  # fmt: skip


def likely_trigger(recording: Recording) -> int | None:
    """Return the channel whose name says that it holds frame triggers, None where that is not certain.

    A channel named after frames, a camera or a scan counts; else one that only says "trigger", "TTL" or
    the like, if it is the only one of that kind and not named after a stimulus.
    """
    names = [channel.name.lower() for channel in recording.channels]
    for words in (FRAME_WORDS, TRIGGER_WORDS):
        fitting = [
            i
            for i, name in enumerate(names)
            if any(word in name for word in words) and not any(word in name for word in OTHER_WORDS)
        ]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None
