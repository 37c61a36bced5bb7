"""What the plots ask for: the line of a sweep between two times, at the width of the screen."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.filters import FilterSettings, apply
from napari_biofm.signals.pyramid import Envelope, Pyramid, build_pyramids, scaled_envelope
from napari_biofm.signals.recording import Recording
from napari_biofm.types import Task

FILTER_LIMIT = 400_000  # samples in view up to which the display filter keeps pace with a pan
KEEP_BYTES = 200e6


class Line(NamedTuple):
    """Points to draw.

    Attributes
    ----------
    times, values : (n,) s and the channel's unit; NaN breaks the line.
    bars : whether each two points are one upright bar, from the lowest to the highest sample of a bin.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float32]
    bars: bool = False


NOTHING = Line(np.zeros(0), np.zeros(0, np.float32))


class TraceSource:
    """Lines of one recording, drawn from pyramids that are built once per sweep.

    Parameters
    ----------
    recording : what is shown.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.filters = FilterSettings()
        self._pyramids: OrderedDict[tuple[int, int], Pyramid] = OrderedDict()
        self._levels: dict[tuple[int, int], float] = {}

    # ------------------------------------------------------------------ getting ready

    def missing(self, sweeps: Sequence[int], channels: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Return the sweeps, with their channels, that must be prepared before they can be drawn."""
        wanted = [(s, [c for c in channels if (s, c) not in self._pyramids]) for s in sweeps]
        return [(s, absent) for s, absent in wanted if absent]

    def work(self, sweeps: Sequence[int], channels: Sequence[int]) -> int:
        """Return how many samples `prepare` would read."""
        return sum(
            self.recording.n_samples(s, c) for s, absent in self.missing(sweeps, channels) for c in absent
        )

    def prepare(self, sweeps: Sequence[int], channels: Sequence[int]) -> Task[None]:
        """Read what is missing, in small steps."""
        for sweep, absent in self.missing(sweeps, channels):
            built = yield from build_pyramids(self.recording, sweep, absent)
            for channel, pyramid in zip(absent, built, strict=True):
                self._pyramids[sweep, channel] = pyramid
        self._forget()
        release = getattr(self.recording.samples, "release", None)
        if release is not None and self.recording.n_samples(*next(iter(self._pyramids), (0, 0))) > 1 << 22:
            release()

    def _forget(self) -> None:
        while len(self._pyramids) > 64 and sum(p.nbytes for p in self._pyramids.values()) > KEEP_BYTES:
            self._pyramids.popitem(last=False)

    # ------------------------------------------------------------------ lines and values

    def line(
        self, sweep: int, channel: int, start_s: float, stop_s: float, n_bins: int, *, bars: bool = False
    ) -> Line | None:
        """Return times (s from the sweep's start) and values to draw; None while not prepared.

        Where samples are many, each bin contributes its minimum and its maximum: as a line through
        both, or with `bars` as one bar, which takes half the time to paint.
        """
        pyramid = self._pyramids.get((sweep, channel))
        if pyramid is None:
            return None
        rate = self.recording.channels[channel].sampling_rate
        start = int(np.floor(np.clip(start_s * rate, 0, pyramid.n)))
        stop = int(np.ceil(np.clip(stop_s * rate, 0, pyramid.n))) + 1
        if self.filters and stop - start <= FILTER_LIMIT:
            return self._filtered(sweep, channel, start, stop, n_bins, bars)
        envelope = scaled_envelope(pyramid.envelope(start, stop, n_bins), self.recording.scale(channel))
        return _as_line(envelope, rate, bars)

    def shows_filter(self, start_s: float, stop_s: float, channel: int = 0) -> bool:
        """Say whether the display filter is applied to a span of this length."""
        rate = self.recording.channels[channel].sampling_rate
        return bool(self.filters) and (stop_s - start_s) * rate + 1 <= FILTER_LIMIT

    def extrema(self, sweep: int, channel: int, start_s: float, stop_s: float) -> tuple[float, float] | None:
        """Return the lowest and highest value between two times; None without any."""
        pyramid = self._pyramids.get((sweep, channel))
        rate = self.recording.channels[channel].sampling_rate
        if pyramid is None:
            return None
        start, stop = max(0, int(start_s * rate)), min(pyramid.n, int(stop_s * rate) + 1)
        if stop <= start:
            return None
        gain, offset = self.recording.scale(channel)
        low, high = sorted(float(v) * gain + offset for v in pyramid.extrema(start, stop))
        return (low, high) if np.isfinite(low) and np.isfinite(high) else None

    def value_at(self, sweep: int, channel: int, time_s: float) -> float:
        """Return the sample nearest to a time; NaN outside the sweep."""
        index = round(time_s * self.recording.channels[channel].sampling_rate)
        if not 0 <= index < self.recording.n_samples(sweep, channel):
            return float("nan")
        return float(self.recording.values(sweep, channel, index, index + 1)[0])

    def average(self, sweeps: Sequence[int], channel: int) -> Line:
        """Return the mean of sweeps, over the samples that all of them have."""
        n = min(self.recording.n_samples(s, channel) for s in sweeps)
        total = np.zeros(n)
        for sweep in sweeps:
            total += self.recording.values(sweep, channel, 0, n)
        rate = self.recording.channels[channel].sampling_rate
        return Line(np.arange(n) / rate, np.asarray(total / len(sweeps), np.float32))

    def _filtered(self, sweep: int, channel: int, start: int, stop: int, n_bins: int, bars: bool) -> Line:
        """Filter what is in view with a margin on both sides."""
        rate = self.recording.channels[channel].sampling_rate
        n = self.recording.n_samples(sweep, channel)
        margin = min(FILTER_LIMIT // 4, n)
        first, last = max(0, start - margin), min(n, stop + margin)
        settings = self.filters
        values = self.recording.values(sweep, channel, first, last)
        if settings.baseline in ("mean", "median"):  # of the whole sweep, not of what is in view
            values = values - np.float32(self._level(sweep, channel, settings.baseline))
            settings = FilterSettings(settings.lowpass, settings.highpass, settings.notch, settings.harmonics)
        values = apply(values, rate, settings)[start - first : stop - first]
        return _as_line(_bins(values, start, n_bins), rate, bars)

    def _level(self, sweep: int, channel: int, kind: str) -> float:
        key = (sweep, channel)
        if key not in self._levels:
            n = self.recording.n_samples(sweep, channel)
            self._levels[key] = float(
                np.nanmedian(self.recording.values(sweep, channel, 0, min(n, 2_000_000)))
            )
        if kind == "mean":
            n = min(self.recording.n_samples(sweep, channel), 2_000_000)
            return float(np.nanmean(self.recording.values(sweep, channel, 0, n), dtype=np.float64))
        return self._levels[key]


def bar_rectangles(line: Line, pixel_height: float) -> NDArray[np.float64]:
    """Return the rectangles of a line of bars: one per bin, as wide as the bin and at least a pixel high.

    Parameters
    ----------
    line : with `bars`.
    pixel_height : in the unit of the values.

    Returns
    -------
    (n, 4) float64
        Left edge, lower edge, width and height; bins without a finite value are left out.
    """
    starts = line.times[::2]
    low, high = line.values[::2].astype(np.float64), line.values[1::2].astype(np.float64)
    finite = np.isfinite(low) & np.isfinite(high)
    widths = np.diff(starts, append=2 * starts[-1] - starts[-2])
    missing = np.maximum(pixel_height - (high - low), 0)
    return np.stack([starts, low - missing / 2, widths, high - low + missing], axis=1)[finite]


def extremes(line: Line, most: int) -> Line:
    """Return a line thinned to about `most` points: the lowest and the highest of each bin, where they are."""
    n = len(line.values)
    if n <= most:
        return line
    width = -(-2 * n // most)
    whole = n // width * width
    bins = line.values[:whole].reshape(-1, width)
    firsts = np.arange(0, whole, width)
    low, high = (np.where(np.isnan(bins), end, bins) for end in (np.inf, -np.inf))
    both = np.stack([firsts + low.argmin(axis=1), firsts + high.argmax(axis=1)], axis=1)
    index = np.concatenate([np.sort(both, axis=1).ravel(), np.arange(whole, n)])
    return Line(line.times[index], line.values[index], line.bars)


def _bins(values: NDArray[np.float32], start: int, n_bins: int) -> Envelope:
    if len(values) <= 4 * n_bins:
        return Envelope(np.arange(start, start + len(values), dtype=np.float64), values, values, True)
    starts = np.arange(0, len(values), len(values) // n_bins)
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return Envelope((start + starts).astype(np.float64), low, high, False)


def _as_line(envelope: Envelope, rate: float, bars: bool) -> Line:
    """Return samples as they are, or minimum and maximum of each bin, as bars or one after the other."""
    low, high = (np.asarray(one, np.float32) for one in (envelope.minima, envelope.maxima))
    if envelope.exact:
        return Line(envelope.starts / rate, low)
    x = np.repeat(envelope.starts / rate, 2)
    y = np.empty(len(x), np.float32)
    if bars:  # each bar reaches to the one before, so that no gap shows
        y[0::2], y[1::2] = low, high
        y[2::2] = np.fmin(low[1:], high[:-1])
        y[3::2] = np.fmax(high[1:], low[:-1])
    else:
        x[1:-1:2] += 0.5 * np.diff(envelope.starts) / rate
        y[0::2], y[1::2] = low, high
    return Line(x, y, bars)
