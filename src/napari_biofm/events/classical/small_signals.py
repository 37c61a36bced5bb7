"""Which of two kinds a trace of volts or amperes is, from the shape of what stands out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from napari_biofm.events.classical.common import baseline, clean, noise_sd
from napari_biofm.events.classical.filters import boxcar
from napari_biofm.signals.units import si_unit
from napari_biofm.types import Trace

Floats = NDArray[np.float64]

LOOKED_AT = 400_000  # samples per piece, of five at most
LARGEST_PSP_V = 0.015
PSP_WIDTH_S = (4e-3, 0.06)  # at half height: action potentials are narrower, steps of the command wider
LONGEST_SPIKE_S = 1.5e-3
FEWEST = 4  # spikes, below which there is no verdict
FEWEST_PSPS = 6
STANDS_OUT = 6.0  # standard deviations of the noise
_MANY = 200


def pieces_of(signal: Trace) -> list[NDArray[np.float32]]:
    """Return up to five pieces of a trace, gaps filled, without those that hold nothing."""
    n = len(signal.values)
    starts = [0] if n <= LOOKED_AT else np.unique(np.linspace(0, n - LOOKED_AT, 5).astype(int)).tolist()
    found = []
    for a in starts:
        piece = Trace(signal.values[a : a + LOOKED_AT], signal.sampling_rate, signal.unit)
        cleaned, _ = clean(piece, 64)
        if cleaned is not None:
            found.append(cleaned.values)
    return found


def only_synaptic_potentials(signal: Trace) -> bool:
    """Return whether a membrane potential holds small and slow deflections, and nothing like a spike.

    At least six deflections of one direction leave the noise by 6 standard deviations, none reaches 15 mV, and they are 4 to
    60 ms wide at half of their prominence (median).
    """
    base, factor = si_unit(signal.unit)
    fs = signal.sampling_rate
    if base != "V" or fs < 500:
        return False
    widths: dict[float, list[float]] = {1.0: [], -1.0: []}
    for values in pieces_of(signal):
        rest = values - baseline(values, max(10, round(0.5 * fs)))
        if float(np.abs(rest).max()) * factor > LARGEST_PSP_V:
            return False
        smooth = boxcar(rest, max(1, round(1e-3 * fs)) | 1)
        sigma = noise_sd(smooth)
        for sign in widths:
            widths[sign] += _widths(sign * smooth, STANDS_OUT * max(sigma, 1e-12), round(0.3 * fs))
    main = max(widths.values(), key=len)
    low, high = PSP_WIDTH_S
    return len(main) >= FEWEST_PSPS and low <= float(np.median(main)) / fs <= high


def _widths(x: NDArray[np.float32], least: float, reach: int) -> list[float]:
    """Return the widths at half prominence of the most prominent peaks, in samples."""
    peaks, found = sps.find_peaks(x, prominence=least, wlen=2 * reach + 1)
    strongest = peaks[np.argsort(-found["prominences"], kind="stable")[:_MANY]]
    return list(sps.peak_widths(x, strongest, 0.5, wlen=2 * reach + 1)[0]) if len(strongest) else []


def looks_cell_attached(signal: Trace) -> bool:
    """Return whether a current holds spikes of a loose or cell-attached patch: short, and of both signs.

    At least four events leave the 200 to 4,000 Hz band by 8 standard deviations; most of them are narrower than 1.5 ms at
    half height and swing to the other side by 15 % or more within 2.5 ms. A synaptic current does neither.
    """
    base, _ = si_unit(signal.unit)
    fs = signal.sampling_rate
    if base != "A" or fs < 5000:
        return False
    verdicts: list[bool] = []
    for values in pieces_of(signal):
        rest = values - baseline(values, max(10, round(0.05 * fs)))
        sos = sps.butter(2, (200, min(4000, 0.45 * fs)), "bandpass", fs=fs, output="sos")
        band = sps.sosfiltfilt(sos, rest.astype(np.float64))
        verdicts += [_is_biphasic(rest, int(k), fs) for k in _apart(np.abs(band), 8 * noise_sd(band), fs)]
    return len(verdicts) >= FEWEST and float(np.mean(verdicts)) >= 0.6


def _apart(height: Floats, least: float, fs: float) -> NDArray[np.intp]:
    """Return the highest moments above `least`, 4 ms or more apart."""
    peaks, found = sps.find_peaks(height, height=max(least, 1e-12), distance=max(1, round(4e-3 * fs)))
    return np.asarray(peaks[np.argsort(-found["peak_heights"], kind="stable")[:_MANY]], np.intp)


def _is_biphasic(rest: NDArray[np.float32], at: int, fs: float) -> bool:
    near, around = round(0.6e-3 * fs), round(2.5e-3 * fs)
    a, b = max(0, at - around), min(len(rest), at + around + 1)
    inner = rest[max(0, at - near) : at + near + 1]
    peak = max(0, at - near) + int(np.argmax(np.abs(inner)))
    sign = float(np.sign(rest[peak])) or 1.0
    upright = sign * rest[a:b]
    top = upright[peak - a]
    low = np.flatnonzero(upright < 0.5 * top)
    left, right = low[low < peak - a], low[low > peak - a]
    if top <= 0 or not len(left) or not len(right):
        return False
    width = (right[0] - left[-1]) / fs
    return width <= LONGEST_SPIKE_S and -float(upright.min()) >= 0.15 * top
