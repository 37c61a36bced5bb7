"""Trigger channels of rigs on which something is not as it should be, with the true frame times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE = 5000.0  # Hz


@dataclass(frozen=True, eq=False)
class TriggerCase:
    """A trigger channel and the movie that belongs to it.

    Attributes
    ----------
    frames : (n_frames,) float64 true seconds at which the frames in the file began.
    period : seconds per frame.
    pulses : (n,) float64 seconds of the pulses that were sent.
    widths : (n,) float64 seconds that each pulse lasts.
    first, last : seconds between which the channel was recorded.
    rate : frame rate the file states, Hz, or None.
    sweeps : [start, stop) seconds of the sweeps that were recorded; empty for one without a gap.
    active_low : whether the channel is high between pulses.
    what : names of what is special.
    skipped : numbers of frames that the camera took and the file lacks, counted from 0 on the camera.
    """

    frames: NDArray[np.float64]
    period: float
    pulses: NDArray[np.float64]
    widths: NDArray[np.float64]
    first: float
    last: float
    rate: float | None
    sweeps: tuple[tuple[float, float], ...] = ()
    active_low: bool = False
    what: tuple[str, ...] = field(default=())
    skipped: tuple[int, ...] = ()

    def channel(self, rng: np.random.Generator) -> tuple[list[NDArray[np.float32]], NDArray[np.float64]]:
        """Return the sweeps of the channel, (n_samples,) volts each, and their starts, s; time 0 is `first`."""
        spans = self.sweeps or ((self.first, self.last),)
        arrays = []
        for start, stop in spans:
            n = round((stop - start) * SAMPLING_RATE)
            trace = np.zeros(n, np.float32)
            for pulse, width in zip(self.pulses, self.widths, strict=True):
                a, b = (round((t - start) * SAMPLING_RATE) for t in (pulse, pulse + width))
                trace[max(a, 0) : max(b, a + 1, 0)] = 5.0
            if self.active_low:
                trace = np.float32(5.0) - trace
            arrays.append(trace + rng.normal(0, 0.03, n).astype(np.float32))
        return arrays, np.array([start for start, _ in spans])


def clean_case(rng: np.random.Generator, *, rate_known: bool = True) -> TriggerCase:
    """Return a rig on which each frame has its pulse."""
    n, rate = int(rng.integers(80, 400)), float(rng.choice([5.0, 10.0, 20.0, 30.0]))
    period = (1 + rng.uniform(-2e-4, 2e-4)) / rate
    start = float(rng.uniform(1.0, 4.0))
    frames = start + period * np.arange(n, dtype=np.float64)
    width = float(rng.choice([0.002, 0.2 * period, 0.5 * period]))
    return TriggerCase(
        frames,
        period,
        frames,
        np.full(n, width),
        0.0,
        frames[-1] + period + rng.uniform(1.0, 3.0),
        rate if rate_known else None,
    )


Change = Callable[[TriggerCase, np.random.Generator], TriggerCase]


def _preview(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """Pulses of a preview come before the movie, at its own rate or another."""
    n, period = int(rng.integers(5, 60)), case.period * float(rng.choice([1.0, 0.5, 2.0]))
    stop = case.pulses[0] - rng.uniform(6, 15) * max(period, case.period)
    pulses = np.sort(stop - period * np.arange(n))
    return replace(
        case, pulses=np.concatenate([pulses, case.pulses]), widths=np.append(np.full(n, min(_one(case), 0.002)), case.widths),
        first=min(case.first, pulses[0] - rng.uniform(0.5, 2.0)),
    )  # fmt: skip


def _late(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The recording begins while the movie already runs."""
    frame = int(rng.integers(3, 40))
    return replace(case, first=case.frames[frame] + rng.uniform(0.6, 0.9) * case.period)


def _early(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The recording ends before the movie."""
    return replace(case, last=case.frames[-int(rng.integers(3, 40))] + 0.6 * case.period)


def _ran_on(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The camera goes on after the last stored frame."""
    n = int(rng.integers(3, 60))
    more = case.frames[-1] + case.period * np.arange(1, n + 1)
    keep = case.pulses <= case.frames[-1] + 0.5 * case.period
    pulses = np.concatenate([case.pulses[keep], more])
    return replace(
        case, pulses=pulses, widths=np.append(case.widths[keep], np.full(n, _one(case))),
        last=max(case.last, more[-1] + 1.5),
    )  # fmt: skip


def _dropped(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """Some frames were taken, with their pulses, but not stored."""
    gone = 5 + rng.choice(len(case.frames) - 10, int(rng.integers(1, 8)), replace=False)
    skipped = tuple(sorted(int(one) for one in gone))
    return replace(case, frames=np.delete(case.frames, gone), skipped=skipped)


def _lost(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """Some pulses were not recorded."""
    inside = len(case.pulses) - 4  # neither the first nor the last two
    gone = 2 + rng.choice(inside, min(inside, int(rng.integers(1, 6))), replace=False)
    return replace(case, pulses=np.delete(case.pulses, gone), widths=np.delete(case.widths, gone))


def _double(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """Some pulses bounce."""
    twice = rng.choice(len(case.pulses), int(rng.integers(1, 6)), replace=False)
    extra = case.pulses[twice] + case.widths[twice] + 0.1 * case.period
    return _with(case, extra, np.full(len(extra), 0.002))


def _glitch(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """One pulse comes from elsewhere, between two frames."""
    i = int(rng.integers(1, len(case.pulses) - 2))
    gap = case.pulses[i + 1] - case.pulses[i]
    width = float(case.widths[i])
    low = (width + 0.004) / gap
    extra = case.pulses[i] + gap * rng.uniform(min(low, 0.9), 0.95)
    return _with(case, np.array([extra]), np.array([min(width, float(rng.choice([0.0006, 0.002])))]))


def _pause(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The camera stops for a while in the middle."""
    i = int(rng.integers(10, len(case.frames) - 10))
    longer = case.period * _whole_or_not(rng, 3, 40)
    at = case.frames[i]
    return replace(
        case, frames=np.where(case.frames >= at, case.frames + longer, case.frames),
        pulses=np.where(case.pulses >= at, case.pulses + longer, case.pulses), last=case.last + longer,
    )  # fmt: skip


def _gated(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The camera takes a burst in each sweep of the recording."""
    k = int(rng.integers(3, 9))
    per = len(case.frames) // k
    length = per * case.period
    gap = case.period * _whole_or_not(rng, 2, 20)
    lead = 0.2
    starts = np.arange(k) * (lead + length + gap + 0.1)
    frames = np.concatenate([start + lead + case.period * np.arange(per) for start in starts])
    sweeps = tuple((s, s + lead + length + 0.05) for s in starts)
    return replace(
        case,
        frames=frames,
        pulses=frames,
        widths=np.full(len(frames), _one(case)),
        sweeps=sweeps,
        first=0.0,
        last=sweeps[-1][1],
    )


def _planes(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """One pulse for each plane of a volume; the movie has volumes."""
    k = int(rng.integers(2, 7))
    pulses = (case.frames[:, None] + case.period / k * np.arange(k)).ravel()
    return replace(case, pulses=pulses, widths=np.full(len(pulses), min(_one(case), 0.3 * case.period / k)))


def _lines(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """One pulse for each line of a scan, with a flyback after each frame."""
    k = int(rng.choice([16, 24]))
    line = 0.9 * case.period / k
    pulses = (case.frames[:, None] + line * np.arange(k)).ravel()
    return replace(case, pulses=pulses, widths=np.full(len(pulses), 0.4 * line))


def _second(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """One pulse for every second or third frame."""
    pulses = case.frames[:: int(rng.integers(2, 4))]
    return replace(case, pulses=pulses, widths=np.full(len(pulses), _one(case)))


def _stimulus(case: TriggerCase, rng: np.random.Generator) -> TriggerCase:
    """The channel holds stimuli, not frames."""
    pulses = case.frames[0] + np.arange(2, 12) * float(rng.uniform(0.5, 2.0))
    return replace(
        case, pulses=pulses, widths=np.full(len(pulses), 0.05), last=max(case.last, pulses[-1] + 1.0)
    )


def _low(case: TriggerCase, _rng: np.random.Generator) -> TriggerCase:
    """The channel is high between pulses."""
    return replace(case, active_low=True)


def _open(case: TriggerCase, _rng: np.random.Generator) -> TriggerCase:
    """The first pulse is under way at the first sample."""
    width = max(_one(case), 0.01)
    return replace(case, first=case.frames[0] + 0.5 * width, widths=np.maximum(case.widths, 0.01))


def _exposure(case: TriggerCase, _rng: np.random.Generator) -> TriggerCase:
    """The channel is high while the camera exposes, most of the frame."""
    return replace(case, widths=np.full(len(case.pulses), 0.85 * case.period))


def _ids(change: Change) -> str:
    return change.__name__.removeprefix("_")


CHANGES: tuple[Change, ...] = (
    _preview, _late, _early, _ran_on, _dropped, _lost, _double, _glitch, _pause, _gated, _planes, _lines,
    _second, _stimulus, _low, _open, _exposure,
)  # fmt: skip
NAMES = tuple(_ids(change) for change in CHANGES)
# what replaces the pulses of frames; only one of them in a case, and before the others
REPLACING = ("gated", "planes", "lines", "second", "stimulus", "exposure")


def simulate_triggers(what: Sequence[str], seed: int, *, rate_known: bool = True) -> TriggerCase:
    """Return a rig with these peculiarities (see `NAMES`), one after the other.

    Parameters
    ----------
    what : names, at most one of those that replace the pulses.
    seed : of everything random.
    rate_known : whether the movie's file states its frame rate.
    """
    rng = np.random.default_rng(seed)
    case = clean_case(rng, rate_known=rate_known)
    for name in sorted(what, key=lambda one: one not in REPLACING):
        case = CHANGES[NAMES.index(name)](case, rng)
    return replace(case, what=tuple(what))


def _whole_or_not(rng: np.random.Generator, low: int, high: int) -> float:
    """Return a number of periods, a whole one every second time."""
    return float(rng.integers(low, high)) if rng.random() < 0.5 else float(rng.uniform(low + 1, high))


def _one(case: TriggerCase) -> float:
    return float(np.median(case.widths))


def _with(case: TriggerCase, extra: NDArray[np.float64], widths: NDArray[np.float64]) -> TriggerCase:
    pulses = np.concatenate([case.pulses, extra])
    order = np.argsort(pulses)
    return replace(case, pulses=pulses[order], widths=np.append(case.widths, widths)[order])
