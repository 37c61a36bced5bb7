"""The averaged event, and histograms of amplitudes and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals import Recording
from napari_biofm.types import Events, RecordingError

Floats = NDArray[np.float64]
_MOST = 5000  # events averaged; more do not change the mean


@dataclass(frozen=True)
class AveragedEvent:
    """Events laid over each other.

    Attributes
    ----------
    time_s : (n_times,) from the point of alignment.
    mean, sd : (n_times,) in `unit`.
    cuts : (n_shown, n_times) float32 single events, at most 200, for drawing.
    n : events averaged.
    unit : of the trace.
    """

    time_s: Floats
    mean: Floats
    sd: Floats
    cuts: NDArray[np.float32]
    n: int
    unit: str

    @property
    def peak(self) -> float:
        """Value of the mean that lies farthest from zero."""
        return float(self.mean[int(np.argmax(np.abs(self.mean)))])

    @property
    def value_range(self) -> tuple[float, float]:
        """Lowest and highest value worth drawing: a stray artefact hides no event."""
        low, high = np.percentile(self.cuts, (0.5, 99.5)) if len(self.cuts) else (-1.0, 1.0)
        return float(min(low, self.mean.min())), float(max(high, self.mean.max()))


def events_of_class(events: Events, name: str = "", channels: Sequence[int] | None = None) -> Events:
    """Return the events of one class in the first channel that has any, without artefacts and rejected rows.

    Parameters
    ----------
    name : of the class; all where it is "".
    channels : that are looked at, in this order; all by default, in the order of their numbers.
    """
    kept = events[~np.isin(events["class"], ("artefact", "rejected"))]
    kept = kept[kept["class"] == name] if name else kept
    searched = np.unique(kept["channel"]).tolist() if channels is None else channels
    channel = next((c for c in searched if (kept["channel"] == c).any()), None)
    return kept[:0] if channel is None else kept[kept["channel"] == channel]


def average_event(
    recording: Recording,
    events: Events,
    before_s: float = 0.005,
    after_s: float = 0.03,
    *,
    align: Literal["peak", "rise"] = "peak",
    subtract_baseline: bool = True,
) -> AveragedEvent:
    """Average the events of one channel.

    Parameters
    ----------
    recording : where they come from.
    events : of one channel; events too close to an end or to a gap are left out.
    before_s, after_s : what is cut around each.
    align : on the time of the event, or on its steepest rise up to `before_s` / 2 before.
    subtract_baseline : take the mean of the first quarter before the event from each.

    Raises
    ------
    RecordingError
        If the events belong to several channels, or the window holds no sample.
    """
    channels = np.unique(events["channel"])
    if len(channels) > 1:
        raise RecordingError(
            f"events of channels {', '.join(map(str, channels))}: average one channel at a time"
        )
    number = int(channels[0]) if len(channels) else 0
    details = recording.channels[number]
    fs = details.sampling_rate
    before, after = round(before_s * fs), round(after_s * fs)
    if before < 0 or before + after < 2:
        raise RecordingError(
            f"a window of {before_s} s before and {after_s} s after at {fs:g} Hz holds no samples: widen it"
        )
    time = np.arange(-before, after) / fs
    chosen = events[:: max(1, -(-len(events) // _MOST))]
    cuts = [_cut(recording, event, number, before, after, align) for event in chosen]
    stack = np.array([cut for cut in cuts if cut is not None], np.float64).reshape(-1, len(time))
    if subtract_baseline and before >= 1:
        stack = stack - stack[:, : max(1, before // 2)].mean(axis=1, keepdims=True)
    if not len(stack):
        empty = np.full(len(time), np.nan)
        return AveragedEvent(time, empty, empty, np.zeros((0, len(time)), np.float32), 0, details.unit)
    sd = stack.std(axis=0, ddof=1) if len(stack) > 1 else np.zeros(len(time))
    shown = stack[:: max(1, -(-len(stack) // 200))].astype(np.float32)
    return AveragedEvent(time, stack.mean(axis=0), sd, shown, len(stack), details.unit)


def _cut(
    recording: Recording, event: np.void, channel: int, before: int, after: int, align: str
) -> NDArray[np.float32] | None:
    """Return one event, or None if it is cut off or holds a gap."""
    sweep = int(event["sweep"])
    at = round(float(event["time_s"]) * recording.channels[channel].sampling_rate)
    slack = before // 2 if align == "rise" else 0
    first, last = at - before - slack, at + after
    if first < 0 or last > recording.n_samples(sweep, channel):
        return None
    values = recording.values(sweep, channel, first, last)
    if not np.isfinite(values).all():
        return None
    if not slack:
        return values
    sign = np.sign(np.nan_to_num(event["amplitude"])) or 1.0
    slope = np.diff(sign * values[before : before + slack + 1])
    start = int(np.argmax(slope))
    return values[start : start + before + after]


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, and the cumulative distribution.

    Attributes
    ----------
    edges : (n_bins + 1,).
    counts : (n_bins,).
    sorted_values : (n,) the values in order; their ranks over n are the cumulative distribution.
    label : what is counted, with its unit.
    """

    edges: Floats
    counts: NDArray[np.int64]
    sorted_values: Floats
    label: str

    @property
    def median(self) -> float:
        """Median of the values; NaN without any."""
        return float(np.median(self.sorted_values)) if len(self.sorted_values) else float("nan")

    @property
    def cumulative(self) -> Floats:
        """(n,) fraction of values up to each of `sorted_values`."""
        n = len(self.sorted_values)
        return np.asarray(np.arange(1, n + 1) / max(n, 1))


def histogram(values: Floats, label: str, bins: int | None = None) -> Histogram:
    """Return the histogram of the finite values; bins by Freedman & Diaconis, 5 to 100, when None."""
    finite = np.sort(values[np.isfinite(values)].astype(np.float64))
    if not len(finite):
        return Histogram(np.zeros(0), np.zeros(0, np.int64), finite, label)
    if bins is None:
        spread = np.subtract(*np.quantile(finite, [0.75, 0.25]))
        width = 2 * spread / len(finite) ** (1 / 3)
        bins = int(np.clip(np.ceil(np.ptp(finite) / width), 5, 100)) if width > 0 else 5
    reach, largest = (finite[0], finite[-1]), float(np.abs(finite).max())
    if (
        reach[1] - reach[0] <= 1e-9 * largest or largest == 0
    ):  # all alike: a tenth of the value around it, in any unit
        reach = (reach[0] - (0.1 * largest or 0.5), reach[1] + (0.1 * largest or 0.5))
    counts, edges = np.histogram(finite, bins, reach)
    return Histogram(edges, counts.astype(np.int64), finite, label)


def amplitude_histogram(events: Events, bins: int | None = None) -> Histogram:
    """Return the histogram of amplitudes, without artefacts and rejected rows."""
    real = events[~np.isin(events["class"], ("artefact", "rejected"))]
    unit = str(real["unit"][0]) if len(real) else ""
    return histogram(real["amplitude"], f"amplitude ({unit})", bins)


def interval_histogram(events: Events, bins: int | None = None) -> Histogram:
    """Return the histogram of intervals between events of the same sweep and channel, ms."""
    real = events[~np.isin(events["class"], ("artefact", "rejected"))]
    real = real[np.lexsort((real["time_s"], real["channel"], real["sweep"]))]
    same = (real["sweep"][1:] == real["sweep"][:-1]) & (real["channel"][1:] == real["channel"][:-1])
    return histogram(np.diff(real["time_s"])[same] * 1e3, "interval (ms)", bins)
