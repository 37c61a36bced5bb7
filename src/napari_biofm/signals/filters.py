"""Zero-phase filters and baselines that leave gaps alone, for display or as a processed copy.

What a detector sees is never filtered unless the user makes a processed copy and detects on that.

scipy is imported where it is used: loading it takes longer than opening the dock.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import Raw, scaled
from napari_biofm.types import RecordingError

Values = NDArray[np.float32]
BaselineKind = Literal["none", "mean", "median", "running median"]
_ORDER = 4
_BLOCK = 1 << 21  # samples filtered at once


@dataclass(frozen=True)
class FilterSettings:
    """What is done to a trace before it is drawn or copied; the default does nothing.

    Attributes
    ----------
    lowpass, highpass : -3 dB frequencies in Hz, or None.
    notch : mains frequency in Hz whose hum is taken out, or None.
    harmonics : how many multiples of `notch` are taken out, itself included.
    baseline : what is subtracted: nothing, one value per sweep, or a running median.
    window : seconds of the running median.
    """

    lowpass: float | None = None
    highpass: float | None = None
    notch: float | None = None
    harmonics: int = 3
    baseline: BaselineKind = "none"
    window: float = 1.0

    def __bool__(self) -> bool:
        return any((self.lowpass, self.highpass, self.notch)) or self.baseline != "none"

    def sentences(self) -> str:
        """Return what was done, for a methods section; "" when nothing was."""
        said = []
        if self.lowpass:
            said.append(f"low-pass filtered at {self.lowpass:g} Hz")
        if self.highpass:
            said.append(f"high-pass filtered at {self.highpass:g} Hz")
        if self.notch:
            said.append(f"notch filtered at {self.notch:g} Hz and {self.harmonics - 1} harmonics")
        text = f"Traces were {', '.join(said)} (Butterworth, order {_ORDER}, zero phase)." if said else ""
        if self.baseline != "none":
            what = (
                f"running median over {self.window:g} s"
                if self.baseline == "running median"
                else f"{self.baseline} of each sweep"
            )
            text += f"{' ' if text else ''}The {what} was subtracted."
        return text


def lowpass(values: Values, sampling_rate: float, cutoff: float) -> Values:
    """Remove what is faster than `cutoff` (Hz, -3 dB after both passes).

    Parameters
    ----------
    values : (n_samples,) any unit; NaN marks gaps, which stay gaps.

    Raises
    ------
    RecordingError
        If `cutoff` does not lie between 0 and half the sampling rate.
    """
    return _butterworth(values, sampling_rate, cutoff, "lowpass")


def highpass(values: Values, sampling_rate: float, cutoff: float) -> Values:
    """Remove what is slower than `cutoff` (Hz, -3 dB after both passes); see `lowpass`."""
    return _butterworth(values, sampling_rate, cutoff, "highpass")


def notch(values: Values, sampling_rate: float, frequency: float, harmonics: int = 3) -> Values:
    """Remove `frequency` (Hz) and its multiples below half the sampling rate, each 2 Hz wide or less."""
    from scipy import signal

    _check_frequency(frequency, sampling_rate)
    for k in range(1, harmonics + 1):
        if k * frequency >= 0.5 * sampling_rate:
            break
        b, a = signal.iirnotch(k * frequency, Q=max(30.0, k * frequency / 2), fs=sampling_rate)
        sos = signal.tf2sos(b, a)
        values = _by_segment(values, partial(_both_ways, sos, int(sampling_rate)))
    return values


def baseline(values: Values, sampling_rate: float, kind: BaselineKind, window: float = 1.0) -> Values:
    """Return the baseline of a trace, same shape: zero, its mean, its median or a running median."""
    if kind == "none" or not np.isfinite(values).any():
        return np.zeros_like(values)
    if kind == "mean":
        return np.full_like(values, np.nanmean(values, dtype=np.float64))
    if kind == "median":
        return np.full_like(values, np.nanmedian(values))
    if window <= 0:
        raise RecordingError(f"a running median over {window} s: give a positive window")
    return running_percentile(values, max(int(window * sampling_rate), 3), 50.0)


def running_percentile(values: NDArray[Any], window: int, percentile: float) -> Values:
    """Return the percentile around each sample over `window` samples, edges reflected.

    Long windows are worked out on block medians and interpolated, which changes the percentile of a
    slow baseline by less than its noise and takes a thousandth of the time.
    """
    from scipy import ndimage

    n = len(values)
    filled = _fill_gaps(np.asarray(values, np.float32))
    block = max(1, window // 64)
    n_blocks = -(-n // block)
    padded = np.pad(filled, (0, n_blocks * block - n), mode="edge").reshape(n_blocks, block)
    coarse = np.median(padded, axis=1) if block > 1 else padded[:, 0]
    size = min(max(window // block, 1), 2 * n_blocks - 1)
    smooth = ndimage.percentile_filter(coarse, percentile, size=size, mode="reflect")
    if block == 1:
        return np.asarray(smooth, np.float32)
    centres = (np.arange(n_blocks) + 0.5) * block - 0.5
    return np.asarray(np.interp(np.arange(n), centres, smooth), np.float32)


def apply(values: Values, sampling_rate: float, settings: FilterSettings) -> Values:
    """Return `values` after everything `settings` asks for, in the order: baseline, notch, high, low."""
    if settings.baseline != "none":
        base = baseline(values, sampling_rate, settings.baseline, settings.window)
        values = np.subtract(values, base, dtype=np.float32)
    if settings.notch:
        values = notch(values, sampling_rate, settings.notch, settings.harmonics)
    if settings.highpass:
        values = highpass(values, sampling_rate, settings.highpass)
    if settings.lowpass:
        values = lowpass(values, sampling_rate, settings.lowpass)
    return values


def filtered(
    recording: Recording, settings: FilterSettings, channels: Sequence[int] | None = None
) -> Recording:
    """Return a processed copy of `recording`: filtered when looked at, and it says so.

    Parameters
    ----------
    channels : which to filter; None for all. The others pass through.
    """
    chosen = tuple(range(recording.n_channels) if channels is None else channels)
    for channel in chosen:
        for frequency in (settings.lowpass, settings.highpass, settings.notch):
            if frequency:
                _check_frequency(frequency, recording.channels[channel].sampling_rate)
    if not settings:
        return recording
    done = {**recording.metadata, "processing": dataclasses.asdict(settings)}
    return dataclasses.replace(
        recording, samples=_FilteredSamples(recording, settings, chosen), metadata=done
    )


class _FilteredSamples:
    """Filters a sweep the first time it is read and keeps the last few."""

    def __init__(self, source: Recording, settings: FilterSettings, channels: tuple[int, ...]) -> None:
        self._source, self._settings, self._channels = source, settings, channels
        self._kept: OrderedDict[tuple[int, int], Values] = OrderedDict()

    def n_samples(self, sweep: int, channel: int) -> int:
        return self._source.samples.n_samples(sweep, channel)

    def scale(self, channel: int) -> tuple[float, float] | None:
        return None if channel in self._channels else self._source.samples.scale(channel)

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        if channel not in self._channels:
            return self._source.samples.raw(sweep, channel, start, stop)
        key = (sweep, channel)
        if key not in self._kept:
            self._kept[key] = self._compute(sweep, channel)
            while len(self._kept) > 1 and sum(v.nbytes for v in self._kept.values()) > 2e8:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key][start:stop]

    def _compute(self, sweep: int, channel: int) -> Values:
        """Filter block by block; blocks overlap by far more than a filter remembers."""
        rate = self._source.channels[channel].sampling_rate
        n = self.n_samples(sweep, channel)
        scale = self._source.samples.scale(channel)
        settings = self._settings
        if n <= _BLOCK or settings.baseline in ("mean", "median"):
            whole = scaled(self._source.samples.raw(sweep, channel, 0, n), scale)
            return apply(whole, rate, settings).astype(np.float32)
        slowest = min(f for f in (settings.lowpass, settings.highpass, 1.0 / settings.window, 2.0) if f)
        margin = min(int(5 * rate / slowest), _BLOCK)
        result = np.empty(n, np.float32)
        for start in range(0, n, _BLOCK):
            stop = min(start + _BLOCK, n)
            first, last = max(0, start - margin), min(n, stop + margin)
            piece = scaled(self._source.samples.raw(sweep, channel, first, last), scale)
            result[start:stop] = apply(piece, rate, settings)[start - first : stop - first]
        return result


def _butterworth(values: Values, sampling_rate: float, cutoff: float, kind: str) -> Values:
    from scipy import signal

    _check_frequency(cutoff, sampling_rate)
    # two passes take 3 dB twice; the design frequency is moved so that the whole takes it once
    shift = (np.sqrt(2.0) - 1.0) ** (1.0 / (2 * _ORDER))
    warped = np.tan(np.pi * cutoff / sampling_rate)
    warped = warped / shift if kind == "lowpass" else warped * shift
    design = np.clip(np.arctan(warped) / np.pi * sampling_rate, 1e-9, 0.4999 * sampling_rate)
    sos = signal.butter(_ORDER, design, kind, fs=sampling_rate, output="sos")
    pad = int(3 * sampling_rate / cutoff)
    return _by_segment(values, partial(_both_ways, sos, pad))


def _both_ways(sos: NDArray[np.float64], pad: int, piece: Values) -> Values:
    from scipy import signal

    pad = min(pad, len(piece) - 1)
    if pad < 1:
        return piece
    return np.asarray(signal.sosfiltfilt(sos, piece.astype(np.float64), padlen=pad), np.float32)


def _by_segment(values: Values, function: Callable[[Values], Values]) -> Values:
    """Apply `function` to every stretch without NaN."""
    finite = np.isfinite(values)
    if finite.all():
        return function(values)
    result = np.full(len(values), np.nan, np.float32)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        result[start:stop] = function(values[start:stop])
    return result


def bridged(values: NDArray[Any], longest: int) -> Values:
    """Return a trace with straight lines over its gaps of up to `longest` samples; longer ones stay NaN.

    Parameters
    ----------
    values : (n_samples,) NaN marks gaps.
    longest : samples.
    """
    row = np.array(values, np.float32)
    gap = ~np.isfinite(row)
    if gap.all() or not gap.any():
        return row
    edges = np.flatnonzero(np.diff(np.concatenate([[False], gap, [False]]).astype(np.int8))).reshape(-1, 2)
    index = np.arange(len(row))
    line = np.interp(index, index[~gap], row[~gap])
    for start, stop in edges:
        if stop - start <= longest:
            row[start:stop] = line[start:stop]
    return row


def _fill_gaps(values: Values) -> Values:
    """Return `values` with gaps bridged by straight lines."""
    finite = np.isfinite(values)
    if finite.all() or not finite.any():
        return np.nan_to_num(values)
    index = np.arange(len(values))
    return np.interp(index, index[finite], values[finite]).astype(np.float32)


def _check_frequency(frequency: float, sampling_rate: float) -> None:
    if not 0 < frequency < 0.5 * sampling_rate:
        raise RecordingError(
            f"a filter at {frequency:g} Hz for a trace sampled at {sampling_rate:g} Hz: "
            f"choose a frequency between 0 and {0.5 * sampling_rate:g} Hz"
        )
