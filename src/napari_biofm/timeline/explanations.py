"""Meanings that pulses may have for the frames of a movie, and how their frame times are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.repair import SHORT, lost_pulses
from napari_biofm.timeline.triggers import Pulses, time_weighted_median
from napari_biofm.types import TimelineError


@dataclass(frozen=True, eq=False)
class Explanation:
    """One meaning of the pulses.

    Attributes
    ----------
    name : short, e.g. "all", "first", "per-frame-4"; what a person chooses by.
    text : the meaning in one sentence.
    times : (n_frames,) float64 seconds at which each frame began.
    agrees : whether pulses and frames agree under this meaning without anything being assumed.
    extrapolated : number of frames whose time comes from no pulse beside them.
    pulses_per_frame : float, pulses for a frame.
    assumed : what was taken for granted where it was taken without asking, sentences.
    """

    name: str
    text: str
    times: NDArray[np.float64]
    agrees: bool = False
    extrapolated: int = 0
    pulses_per_frame: float = 1.0
    assumed: tuple[str, ...] = ()

    @property
    def period(self) -> float:
        """Seconds per frame, pauses left out; NaN for a single frame."""
        return time_weighted_median(np.diff(self.times))


class ClockUnclearError(TimelineError):
    """Pulses and frames do not agree, or agree in more than one way.

    Attributes
    ----------
    explanations : what the pulses may mean, the most likely first.
    no_frames : why they may be no frame pulses at all, "" where that is not likely.
    """

    def __init__(self, message: str, explanations: Sequence[Explanation], no_frames: str = "") -> None:
        super().__init__(message)
        self.explanations = tuple(explanations)
        self.no_frames = no_frames

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.explanations, self.no_frames)


def every_pulse(pulses: Pulses, n: int) -> Explanation | None:
    """Return the reading of each pulse as a frame, where there are as many; certain where nothing is odd."""
    if len(pulses.times) != n:
        return None
    text = f"One pulse for each of the {n} frames"
    odd = []
    if pulses.open_at_start.any():
        odd.append("the one under way at the first sample belongs to none")
    lost = lost_pulses(pulses.times, pulses.period)
    if lost:
        odd.append(f"the camera left out a frame in {lost} places, in the file as in the pulses")
    text = "; ".join([text, *odd]) + "."
    return Explanation("all", text, pulses.times, not odd and regular(pulses.times))


def per_frame(pulses: Pulses, n: int, k: int, *, agrees: bool) -> Explanation:
    """Return the meaning that every `k`-th pulse begins a frame; `agrees` says whether count and rate fit."""
    text = f"{k} pulses for each frame (planes or lines): every {k}th one begins a frame."
    times = pulses.times[::k]
    alike = regular(times)
    lacking = n - len(times)
    if lacking > 0:
        times = np.concatenate([times, times[-1] + frame_period(times) * np.arange(1, lacking + 1)])
    return Explanation(
        f"per-frame-{k}", text, times[:n], agrees and alike and lacking <= 0, max(lacking, 0), k
    )


def per_pulse(pulses: Pulses, n: int, k: int, *, agrees: bool) -> Explanation:
    """Return the meaning that a pulse begins every `k`-th frame; `agrees` says whether count and rate fit."""
    steps = np.arange(n) / k
    times = at_pulses(pulses.times, steps)
    text = f"One pulse for {k} frames: the frames between were placed evenly."
    return Explanation(f"per-pulse-{k}", text, times, agrees, max(n - k * len(pulses.times), 0), 1 / k)


def regular(times: NDArray[np.float64]) -> bool:
    """Return whether no pulse follows sooner than a camera could; longer gaps are pauses.

    Most intervals have to be alike: pulses at random times are no frames.
    """
    intervals = np.diff(times)
    if len(intervals) == 0:
        return False
    period = frame_period(times)
    alike = np.abs(intervals / period - 1) < 0.2
    return bool((intervals >= SHORT * period).all() and alike.mean() >= 0.7)


def frame_period(times: NDArray[np.float64]) -> float:
    """Return the seconds between pulses or frames, pauses left out."""
    return time_weighted_median(np.diff(times))


def at_pulses(times: NDArray[np.float64], steps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the times at fractional pulse numbers; outside, the period is continued."""
    inside = np.interp(steps, np.arange(len(times)), times)
    outside = steps - np.clip(steps, 0, len(times) - 1)
    return np.asarray(inside + outside * frame_period(times))


def placed(times: NDArray[np.float64], steps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the times at fractional pulse numbers; no frame is drawn into a pause, outside the period is continued.

    Parameters
    ----------
    times : (m,) seconds of pulses, ascending, m >= 2.
    steps : (n,) pulse numbers.
    """
    usual = frame_period(times)
    before = np.clip(np.floor(steps + 1e-9), 0, len(times) - 1).astype(int)
    intervals = np.append(np.minimum(np.diff(times), 1.5 * usual), usual)
    longer = np.append(np.diff(times) > 1.5 * usual, False)
    intervals[longer] = usual
    return np.asarray(times[before] + (steps - before) * np.where(steps < 0, usual, intervals[before]))


def distinct(explanations: Sequence[Explanation]) -> list[Explanation]:
    """Leave out explanations that put every frame within half a frame of a former one, or share its name."""
    kept: list[Explanation] = []
    for one in explanations:
        limit = 0.5 * one.period if len(one.times) > 1 else 0.0
        if any(np.abs(one.times - other.times).max() <= limit or one.name == other.name for other in kept):
            continue
        kept.append(one)
    return kept
