"""Which of two kinds a trace of volts or amperes is, from the shape of what stands out of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.common import baseline, clean, noise_sd
from napari_biofm.events.classical.filters import boxcar
from napari_biofm.signals.units import si_unit
from napari_biofm.types import Trace

Floats = NDArray[np.float64]

LOOKED_AT = 400_000  # samples per piece, of five at most
LARGEST_PSP_V = 0.015
LONGEST_SPIKE_S = 1.5e-3
FEWEST = 4  # spikes, below which there is no verdict
FEWEST_PSPS = 6
SAME_S = 0.2e-3  # by which intervals of a stimulator differ at most; no cell fires so evenly
STANDS_OUT = 6.0  # standard deviations of the noise
CLEAR = 2.0  # times steeper up than down, where there are fewer than FEWEST_PSPS
_MANY = 200


class _Look(NamedTuple):
    """How deflections of the membrane potential are looked for; widths at half height.

    Action potentials are narrower than `width_s`, steps of the command wider, or as steep on both sides.
    """

    baseline_s: float
    smoothed_s: float
    reach_s: float
    width_s: tuple[float, float]
    steeper: float  # so many times steeper they rise than fall, at their steepest
    rate: float  # Hz, to which the trace is thinned


QUICK = _Look(0.5, 1e-3, 0.3, (4e-3, 0.06), 1.3, 10e3)
SLOW = _Look(3.0, 5e-3, 0.5, (0.03, 0.5), 2.0, 1000.0)


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


def only_synaptic_potentials(*signals: Trace) -> bool:
    """Return whether a membrane potential holds small and slow deflections, and nothing like a spike.

    At least six deflections of one direction leave the noise by 6 standard deviations, none reaches 15 mV, and they are 4 to
    60 ms wide at half of their prominence (median) and rise more steeply than they fall. Wider ones, up to 0.5 s, must
    rise twice as steeply as they fall, which steps of the command do not. Fewer than six must each be as wide, and rise
    twice as steeply as they fall.

    Parameters
    ----------
    signals : sweeps of one channel, of one unit and sampling rate.
    """
    base, factor = si_unit(signals[0].unit)
    fs = signals[0].sampling_rate
    if base != "V" or fs < 500:
        return False
    pieces = [piece for signal in signals for piece in pieces_of(signal)]
    return any(_are_deflections(pieces, fs, factor, looked) for looked in (QUICK, SLOW))


def _are_deflections(pieces: list[NDArray[np.float32]], fs: float, factor: float, looked: _Look) -> bool:
    """Return whether what stands out is small, of one direction, and as wide and as steep as `looked` says."""
    widths: dict[float, list[float]] = {1.0: [], -1.0: []}
    steepness: dict[float, list[float]] = {1.0: [], -1.0: []}
    sizes = {1.0: 0.0, -1.0: 0.0}
    thin = max(1, round(fs / looked.rate))
    fs /= thin
    for native in pieces:
        values = native if thin == 1 else native[: len(native) // thin * thin].reshape(-1, thin).mean(1)
        if len(values) < 10:
            continue
        rest = values - baseline(values, max(10, round(looked.baseline_s * fs)))
        if float(np.abs(rest).max()) * factor > LARGEST_PSP_V:
            return False
        smooth = boxcar(rest, max(1, round(looked.smoothed_s * fs)) | 1)
        sigma = max(noise_sd(smooth), 1e-12)
        for sign in widths:
            size, half, steeper = _widths(sign * smooth, STANDS_OUT * sigma, round(looked.reach_s * fs))
            sizes[sign] += size
            widths[sign] += half
            steepness[sign] += steeper
    main = max(sizes, key=lambda sign: sizes[sign])
    wide, steep = np.array(widths[main]) / fs, np.array(steepness[main])
    low, high = looked.width_s
    if len(wide) < FEWEST_PSPS:
        clear = (wide >= low) & (wide <= high) & (steep >= max(CLEAR, looked.steeper))
        return len(wide) > 0 and bool(clear.all())
    return low <= float(np.median(wide)) <= high and float(np.median(steep)) >= looked.steeper


def _widths(x: NDArray[np.float32], least: float, reach: int) -> tuple[float, list[float], list[float]]:
    """Return the most prominent peaks that leave zero by `least`: sum of prominences, widths at half of them (samples), how often steeper they rise than fall.

    The prominence alone would not do: noise has both signs, and from trough to peak it spans twice its size.
    """
    peaks, found = scipy.signal.find_peaks(x, height=least, prominence=least, wlen=2 * reach + 1)
    strongest = peaks[np.argsort(-found["prominences"], kind="stable")[:_MANY]]
    if not len(strongest):
        return 0.0, [], []
    width = scipy.signal.peak_widths(x, strongest, 0.5, wlen=2 * reach + 1)[0]
    steeper = []
    for at, wide in zip(strongest.tolist(), width.tolist(), strict=True):
        lag = max(1, round(wide / 8))
        here = x[max(0, at - reach) : at + reach]
        change, top = here[lag:] - here[:-lag], at - max(0, at - reach)
        up, down = change[: max(1, top - lag + 1)].max(), -change[min(top, len(change) - 1) :].min()
        steeper.append(float(up / max(down, 1e-12)))
    return float(np.sort(found["prominences"])[-_MANY:].sum()), list(width), steeper


def looks_cell_attached(*signals: Trace) -> bool:
    """Return whether a current holds spikes of a loose or cell-attached patch: short, and of both signs.

    At least four events leave the 200 to 4,000 Hz band by 8 standard deviations; most of them are narrower than 1.5 ms at
    half height and swing to the other side by 15 % or more within 2.5 ms. A synaptic current does neither. Where those come at the
    same few intervals to a fifth of a millisecond, or at the same time of each sweep, they are artefacts of a stimulator.

    Parameters
    ----------
    signals : sweeps of one channel, of one unit and sampling rate.
    """
    base, _ = si_unit(signals[0].unit)
    fs = signals[0].sampling_rate
    if base != "A" or fs < 5000:
        return False
    verdicts: list[bool] = []
    spikes: list[NDArray[np.intp]] = []
    for values in (piece for signal in signals for piece in pieces_of(signal)):
        rest = values - baseline(values, max(10, round(0.05 * fs)))
        sos = scipy.signal.butter(2, (200, min(4000, 0.45 * fs)), "bandpass", fs=fs, output="sos")
        band = scipy.signal.sosfiltfilt(sos, rest.astype(np.float64))
        places = np.sort(_apart(np.abs(band), 8 * noise_sd(band), fs))
        short = np.array([_is_biphasic(rest, int(k), fs) for k in places], bool)
        verdicts += short.tolist()
        spikes.append(places[short])
    if len(verdicts) < FEWEST or float(np.mean(verdicts)) < 0.6:
        return False
    return not _are_stimuli(spikes, fs)


def _are_stimuli(places: list[NDArray[np.intp]], fs: float) -> bool:
    """Return whether events come as a stimulator gives them: at a few intervals, or times of a sweep, again and again.

    Parameters
    ----------
    places : samples, sorted, of each piece of trace.
    """
    gaps = np.concatenate([np.diff(at) for at in places])
    firsts = np.array([at[0] for at in places if len(at)])
    values = np.sort(gaps if len(gaps) >= FEWEST - 1 else firsts)
    if len(values) < FEWEST - 1:
        return False
    distinct = 1 + int(np.sum(np.diff(values) > max(2.0, SAME_S * fs)))
    return distinct <= max(1, len(values) // 3)


def _apart(height: Floats, least: float, fs: float) -> NDArray[np.intp]:
    """Return the highest moments above `least`, 4 ms or more apart."""
    peaks, found = scipy.signal.find_peaks(
        height, height=max(least, 1e-12), distance=max(1, round(4e-3 * fs))
    )
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
