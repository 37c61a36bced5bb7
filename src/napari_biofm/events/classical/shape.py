"""The shape of a synaptic event: two exponentials, given by the user or learned from the trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from napari_biofm.events.classical.common import Floats, Samples, noise_sd, thin
from napari_biofm.events.classical.filters import boxcar
from napari_biofm.events.classical.kinetics import windows
from napari_biofm.events.options import OptionValues

_RISES = np.geomspace(0.15e-3, 5e-3, 10)
_DECAYS = np.geomspace(1e-3, 60e-3, 16)
_LEAST = 5  # events needed to learn a shape
_MOST = 150  # events averaged


@dataclass(frozen=True)
class Shape:
    """A biexponential event, ``(1 - exp(-t / rise)) exp(-t / decay)``, peak 1.

    Attributes
    ----------
    rise, decay : time constants in seconds.
    sign : +1 upward, -1 downward.
    learned_from : events averaged to find it; 0 if it was given or is the default.
    """

    rise: float
    decay: float
    sign: float
    learned_from: int = 0

    def time_to_peak(self) -> float:
        """Return seconds from onset to peak."""
        return self.rise * float(np.log1p(self.decay / self.rise))

    def wave(self, sampling_rate: float, length_s: float) -> Floats:
        """Return (n,) samples from the onset on, peak near 1."""
        t = np.arange(max(4, round(length_s * sampling_rate))) / sampling_rate
        wave = biexponential(t, self.rise, self.decay)
        return np.asarray(wave / max(wave.max(), 1e-12))


def biexponential(t: Floats, rise: float | Floats, decay: float | Floats) -> Floats:
    """Return the unscaled event at times `t` from the onset on; 0 before it."""
    late = np.clip(t, 0, None)
    return np.asarray((1 - np.exp(-late / rise)) * np.exp(-late / decay))


def choose_shapes(flat: Samples, sampling_rate: float, chosen: OptionValues) -> list[Shape]:
    """Return one shape per direction to look in, the more frequent one first.

    Option `sign` (+1, -1) looks in one direction only. Else both are taken where the weaker one leaves
    the noise at least a fifth as much as the stronger one.
    """
    sign = float(np.sign(chosen["sign"]))
    up, down = excursions(flat, sampling_rate)
    first = sign or (1.0 if up >= down else -1.0)
    shapes = [choose_shape(flat, sampling_rate, chosen, first)]
    if not sign and min(up, down) > max(20.0, 0.2 * max(up, down)):
        shapes.append(choose_shape(flat, sampling_rate, chosen, -first))
    return shapes


def choose_shape(flat: Samples, sampling_rate: float, chosen: OptionValues, sign: float) -> Shape:
    """Return the shape to look for in one direction.

    Options `rise_s` and `decay_s` (seconds) win; what is not given is learned: events that stand clear
    of the noise are aligned on their steepest rise and averaged by the median, and two exponentials are
    fitted. With fewer than 5 of them it is 0.5 and 5 ms.

    Parameters
    ----------
    flat : (n_samples,) trace without its slow baseline.
    """
    if "rise_s" in chosen and "decay_s" in chosen:
        learned = Shape(1.0, 1.0, sign)
    else:
        learned = _learn(flat, sampling_rate, sign)
    rise = max(chosen.given("rise_s", learned.rise), 0.2 / sampling_rate)
    decay = max(chosen.given("decay_s", learned.decay), 1.0 / sampling_rate)
    return Shape(rise, decay, sign, learned.learned_from)


def excursions(flat: Samples, sampling_rate: float) -> tuple[float, float]:
    """Return how much the smoothed trace leaves its noise upwards and downwards, in sigmas x events.

    Each stretch beyond 5 sigma counts with its peak, at most 30 sigma, so that one artefact does not decide.
    """
    flat = flat[: int(600 * sampling_rate)]  # ten minutes are enough to know
    smooth = low_passed(flat, sampling_rate, 1e-3)
    noise = noise_sd(smooth)
    if noise <= 0:
        return float(abs(flat.max())), float(abs(flat.min()))
    gap = max(1, round(5e-3 * sampling_rate))
    totals = []
    for z in (smooth / noise, smooth / -noise):
        _, found = scipy.signal.find_peaks(z, height=5.0, distance=gap)
        totals.append(float(np.minimum(found["peak_heights"], 30).sum()))
    return totals[0], totals[1]


def low_passed(values: Samples, sampling_rate: float, width_s: float) -> Samples:
    """Return the trace after two boxcars of together about `width_s` (no phase shift)."""
    size = max(1, round(0.6 * width_s * sampling_rate)) | 1
    return boxcar(boxcar(values, size), size)


def _learn(flat: Samples, fs: float, sign: float) -> Shape:
    """Average clear events of one sign and fit two exponentials."""
    default = Shape(0.5e-3, 5e-3, sign)
    upright = sign * flat[: int(120 * fs)]
    smooth = low_passed(upright, fs, 0.7e-3)
    noise = noise_sd(smooth)
    before, after = max(3, round(3e-3 * fs)), max(8, round(60e-3 * fs))
    if noise <= 0 or len(upright) < 4 * (before + after):
        return default
    peaks, _ = scipy.signal.find_peaks(smooth, height=5 * noise, distance=max(1, round(2e-3 * fs)))
    heights = np.asarray(smooth[peaks], np.float64)
    keep = thin(peaks, heights, round(10e-3 * fs))
    peaks, heights = peaks[keep], heights[keep]
    inside = (peaks > before + 2) & (peaks < len(smooth) - after)
    peaks, heights = peaks[inside], heights[inside]
    if len(peaks) < _LEAST:
        return default
    usual = (heights >= np.quantile(heights, 0.3)) & (heights <= np.quantile(heights, 0.97))
    peaks = peaks[usual][:_MOST]
    if len(peaks) < _LEAST:
        return default
    steep = np.argmax(np.diff(windows(smooth, peaks - before, before + 1), axis=1), axis=1)
    cut = windows(upright, peaks - before + steep - before, before + after)
    cut = cut - np.median(cut[:, : before // 2], axis=1)[:, None]
    cut = cut / np.maximum(np.quantile(cut, 0.98, axis=1), 1e-12)[:, None]
    rise, decay = fit_biexponential(np.median(cut, axis=0), fs)
    return Shape(rise, decay, sign, len(peaks))


def fit_biexponential(wave: Floats, sampling_rate: float) -> tuple[float, float]:
    """Return rise and decay (s) of the best biexponential, over shape, onset, size and offset.

    All shapes of a grid are laid at every onset at once; size and offset are linear.

    Parameters
    ----------
    wave : (n,) averaged event, upright.
    """
    step = max(1, len(wave) // 600)
    data = wave[: len(wave) // step * step].reshape(-1, step).mean(axis=1)
    fs = sampling_rate / step
    data = data - data.mean()
    rise, decay = _best_shape(data, fs, _RISES, _DECAYS)
    fine = np.geomspace(0.7, 1.4, 9)
    return _best_shape(data, fs, rise * fine, decay * fine)


def _best_shape(data: Floats, fs: float, rises: Floats, decays: Floats) -> tuple[float, float]:
    """Return the pair of a grid that explains most of `data` (mean 0) at its best onset.

    Products with all onsets come from one FFT per shape, powers of the cut-off shapes from running sums.
    """
    n = len(data)
    pairs = np.array([(r, d) for r in rises for d in decays if d > r] or [(rises[0], decays[-1])])
    shapes = biexponential(np.arange(n)[None, :] / fs, pairs[:, :1], pairs[:, 1:])
    size = scipy.fft.next_fast_len(2 * n, real=True)
    cross = np.fft.irfft(np.fft.rfft(data, size) * np.conj(np.fft.rfft(shapes, size)), size)
    onsets = np.arange(0, max(2, n // 8))
    left = n - 1 - onsets
    power = np.cumsum(shapes**2, axis=1)[:, left] - np.cumsum(shapes, axis=1)[:, left] ** 2 / n
    gain = np.clip(cross[:, onsets], 0, None) ** 2 / np.maximum(power, 1e-12)
    best = pairs[int(np.argmax(gain.max(axis=1)))]
    return float(best[0]), float(best[1])
