"""Action potentials: threshold, amplitude, widths, after-hyperpolarisation, slopes.

Definitions follow eFEL (Blue Brain Project) where it has them, so that numbers can be compared; slopes
are central differences over two samples or 0.1 ms, whichever is longer. Those of 5 ms and more (heart cells, pacemakers) have
landmarks of their own, see `classical.long_action_potentials`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.dvdt import slope_mv_per_ms
from napari_biofm.events.classical.long_action_potentials import long_action_potentials, running_mean
from napari_biofm.events.crossings import crossing_before
from napari_biofm.events.features.definitions import Columns
from napari_biofm.events.measuring.long_spikes import threshold_of
from napari_biofm.types import Trace

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

BEGIN_SLOPE = 10.0  # mV/ms, on the way up
END_SLOPE = -12.0  # mV/ms, on the way down
WIDTH_LEVEL = -20.0  # mV, of `width_at_minus_20_mV_ms`
_REFINE_S = 0.5e-3
_LOOK_BACK_S = 10e-3
_AHP_RISE_S = 1e-3  # a trough is the AHP if nothing within this time is lower
_SLOW_S = 5e-3  # the slow AHP is looked for from here on
_REST_S = 1.0  # after a long action potential, in which the lowest potential is looked for
_SPLINE = 8  # samples to either side that carry the spline

AP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "peak_mV": "highest sample of the action potential",
        "threshold_mV": f"where dV/dt reaches {BEGIN_SLOPE:g} mV/ms and stays above up to the steepest rise",
        "amplitude_mV": "peak minus threshold",
        "rise_time_ms": "from threshold to peak",
        "rise_rate_mV_per_ms": "amplitude over rise time",
        "fall_time_ms": f"from peak to where dV/dt is above {END_SLOPE:g} mV/ms again after the fall; of long ones to the last fifth",
        "fall_rate_mV_per_ms": "change of potential over fall time, negative",
        "duration_ms": "rise time plus fall time",
        "apd_50_ms": "duration: from the steepest rise to where half of the way from peak to after-hyperpolarisation is done",
        "apd_90_ms": "the same of nine tenths of the way",
        "half_width_ms": "width halfway between threshold and peak, between samples by straight lines",
        "half_width_from_ahp_ms": "width halfway between peak and after-hyperpolarisation",
        "width_at_threshold_ms": "from threshold to the first sample after the peak that is back below it",
        "width_at_minus_20_mV_ms": "from the first sample above -20 mV to the last before falling below it",
        "max_rise_mV_per_ms": "largest dV/dt between threshold and peak, of a quintic spline through the samples",
        "max_fall_mV_per_ms": "smallest dV/dt between peak and after-hyperpolarisation, negative; as max_rise",
        "max_rise_of_samples_mV_per_ms": "largest dV/dt as central difference of samples, as eFEL; low at slow rates",
        "max_fall_of_samples_mV_per_ms": "smallest dV/dt as central difference of samples, as eFEL",
        "phase_slope_per_ms": "slope of dV/dt against V at threshold, over two samples to either side",
        "ahp_mV": "first trough after the peak that nothing within 1 ms undercuts; of long ones the lowest potential in 1 s after them",
        "ahp_from_peak_mV": "peak minus trough",
        "ahp_from_threshold_mV": "threshold minus trough; negative where the trough stays above threshold",
        "ahp_time_ms": "from peak to trough",
        "slow_ahp_mV": "lowest potential from 5 ms after the peak to the next peak (nan for the last)",
        "slow_ahp_time_fraction": "time of the slow trough as a fraction of the interval to the next peak",
        "trough_mV": "lowest potential up to the next peak (nan for the last)",
        "interspike_mV": "mean potential from the end of this action potential to the threshold of the next",
        "interval_ms": "from the peak before (nan for the first)",
    }
)


@dataclass(frozen=True)
class Landmarks:
    """Where each action potential begins, peaks, ends and undershoots: (n_events,) sample indices.

    `rise` and `fall`: samples over which slopes of its way up and down are taken; 0 where those of samples are, as for short ones.
    """

    begin: Indices
    peak: Indices
    end: Indices
    ahp: Indices
    rise: Indices
    fall: Indices


def landmarks(volts: Floats, sampling_rate: float, peaks: Indices) -> Landmarks:
    """Find begin, end and after-hyperpolarisation of action potentials.

    Parameters
    ----------
    volts : (n_samples,) mV, without gaps.
    sampling_rate : Hz.
    peaks : (n_events,) sorted; each is moved to the highest sample within 0.5 ms.
    """
    slope = np.asarray(slope_mv_per_ms(volts, sampling_rate), np.float64)
    reach = max(1, round(_REFINE_S * sampling_rate))
    moved = [_highest(volts, p, reach) for p in peaks]
    peak = np.unique(np.asarray(moved, np.intp))
    limits = np.concatenate([[0], peak, [len(volts)]])
    begin, end, ahp = (np.empty(len(peak), np.intp) for _ in range(3))
    rise = max(2, round(_AHP_RISE_S * sampling_rate))
    for i, p in enumerate(peak):
        earliest = max(int(limits[i]), p - round(_LOOK_BACK_S * sampling_rate))
        begin[i] = _begin(slope, earliest, int(p))
        stop = int(limits[i + 2])
        ahp[i] = _first_trough(volts, int(p), stop, rise)
        end[i] = _end(slope, int(p), max(int(ahp[i]), int(p) + 1))
    none = np.zeros(len(peak), np.intp)
    marks = Landmarks(begin, peak, end, ahp, none, none.copy())
    _mark_long_ones(volts, sampling_rate, marks)
    return marks


def _mark_long_ones(volts: Floats, fs: float, marks: Landmarks) -> None:
    """Set the landmarks of action potentials with a plateau or a slow upstroke, whose course the short rules do not see."""
    peak = marks.peak
    for one in long_action_potentials(Trace(volts.astype(np.float32), fs, "mV")):
        near = np.flatnonzero((peak >= one.foot) & (peak <= one.peak + _REFINE_S * fs + 1))
        if len(near):
            i = int(near[-1])
            stop = int(peak[i + 1]) if i + 1 < len(peak) else len(volts)
            last = min(one.end, stop - 1)
            rest = running_mean(volts[last : min(stop, last + round(_REST_S * fs))], max(1, round(5e-3 * fs)))
            marks.begin[i], peak[i], marks.end[i] = threshold_of(volts, fs, "mV", one), one.peak, last
            marks.ahp[i] = last + int(np.argmin(rest))
            marks.rise[i], marks.fall[i] = one.rise_width(fs), one.fall_width(fs)


def _highest(volts: Floats, p: int, reach: int) -> int:
    first = max(0, int(p) - reach)
    return first + int(np.argmax(volts[first : int(p) + reach + 1]))


def _begin(slope: Floats, earliest: int, peak: int) -> int:
    """Return the first of the samples that lead up to the steepest rise with dV/dt above the limit."""
    if peak <= earliest:
        return peak
    steepest = earliest + int(np.argmax(slope[earliest : peak + 1]))
    gentle = np.flatnonzero(slope[earliest:steepest] < BEGIN_SLOPE)
    return earliest + int(gentle[-1]) + 1 if len(gentle) else earliest


def _end(slope: Floats, peak: int, ahp: int) -> int:
    steepest = peak + int(np.argmin(slope[peak : ahp + 1]))
    back = np.flatnonzero(slope[steepest : ahp + 1] >= END_SLOPE)
    return steepest + int(back[0]) if len(back) else ahp


def _first_trough(volts: Floats, peak: int, stop: int, rise: int) -> int:
    """Return the first sample after the peak that is the lowest of those up to `rise` samples on."""
    lowest = peak
    for i in range(peak + 1, stop):
        if volts[i] < volts[lowest]:
            lowest = i
        elif i - lowest >= rise:
            break
    return lowest


def ap_features(volts: Floats, sampling_rate: float, marks: Landmarks) -> Columns:
    """Return one value per action potential and column of `AP_DEFINITIONS`, (n_events,) float64 each.

    Parameters
    ----------
    volts : (n_samples,) mV.
    sampling_rate : Hz.
    marks : as returned by `landmarks`.
    """
    ms = 1e3 / sampling_rate
    slope = np.asarray(slope_mv_per_ms(volts, sampling_rate), np.float64)
    begin, peak, end, ahp = marks.begin, marks.peak, marks.end, marks.ahp
    threshold, top, trough = volts[begin], volts[peak], volts[ahp]
    rise, fall = (peak - begin) * ms, (end - peak) * ms
    columns: Columns = {
        "peak_mV": top,
        "threshold_mV": threshold,
        "amplitude_mV": top - threshold,
        "rise_time_ms": rise,
        "rise_rate_mV_per_ms": _ratio(top - threshold, rise),
        "fall_time_ms": fall,
        "fall_rate_mV_per_ms": _ratio(volts[end] - top, fall),
        "duration_ms": rise + fall,
        "apd_50_ms": durations(volts, slope, marks, 0.5) * ms,
        "apd_90_ms": durations(volts, slope, marks, 0.9) * ms,
        "half_width_ms": half_widths(volts, marks, threshold) * ms,
        "half_width_from_ahp_ms": half_widths(volts, marks, trough) * ms,
        "width_at_threshold_ms": _width_at_threshold(volts, marks) * ms,
        "width_at_minus_20_mV_ms": _width_at(volts, peak, WIDTH_LEVEL) * ms,
        "max_rise_mV_per_ms": _steepest(volts, slope, begin, peak, +1, marks.rise) / ms,
        "max_fall_mV_per_ms": _steepest(volts, slope, peak, ahp, -1, marks.fall) / ms,
        "max_rise_of_samples_mV_per_ms": _each(np.max, slope, begin, peak),
        "max_fall_of_samples_mV_per_ms": _each(np.min, slope, peak, ahp),
        "phase_slope_per_ms": _phase_slope(volts, slope, begin),
        "ahp_mV": trough,
        "ahp_from_peak_mV": top - trough,
        "ahp_from_threshold_mV": threshold - trough,
        "ahp_time_ms": (ahp - peak) * ms,
    }
    return columns | _between(volts, sampling_rate, marks)


def _between(volts: Floats, fs: float, marks: Landmarks) -> Columns:
    """Return what lies between an action potential and the next one."""
    n = len(marks.peak)
    slow, fraction, lowest, mean = (np.full(n, np.nan) for _ in range(4))
    for i in range(n - 1):
        a, b = int(marks.peak[i]), int(marks.peak[i + 1])
        lowest[i] = volts[a:b].min()
        if marks.begin[i + 1] > marks.end[i]:
            mean[i] = volts[marks.end[i] : marks.begin[i + 1]].mean()
        late = a + round(_SLOW_S * fs)
        if late < b:
            at = late + int(np.argmin(volts[late:b]))
            slow[i], fraction[i] = volts[at], (at - a) / (b - a)
    interval = np.diff(marks.peak, prepend=0).astype(np.float64) * 1e3 / fs
    interval[:1] = np.nan
    return {
        "slow_ahp_mV": slow,
        "slow_ahp_time_fraction": fraction,
        "trough_mV": lowest,
        "interspike_mV": mean,
        "interval_ms": interval,
    }


def half_widths(volts: Floats, marks: Landmarks, foot: Floats) -> Floats:
    """Return the width halfway between foot and peak in samples, by straight lines between samples.

    Parameters
    ----------
    foot : (n_events,) mV.
    """
    width = np.full(len(marks.peak), np.nan)
    for i, (begin, peak, ahp) in enumerate(zip(marks.begin, marks.peak, marks.ahp, strict=True)):
        half = 0.5 * (foot[i] + volts[peak])
        up = np.flatnonzero(volts[begin:peak] < half)
        down = np.flatnonzero(volts[peak : ahp + 1] < half)
        if len(up) and len(down) and down[0] > 0:
            a, b = begin + int(up[-1]), peak + int(down[0])
            left = a + (half - volts[a]) / (volts[a + 1] - volts[a])
            right = b - (half - volts[b]) / (volts[b - 1] - volts[b])
            width[i] = right - left
    return width


def durations(volts: Floats, slope: Floats, marks: Landmarks, share: float) -> Floats:
    """Return samples from the steepest rise to where a share of the way from peak to trough is done; NaN where it never is.

    Parameters
    ----------
    slope : (n_samples,) mV/ms. share : 0 to 1.
    """
    found = np.full(len(marks.peak), np.nan)
    for i, (begin, peak, ahp) in enumerate(zip(marks.begin, marks.peak, marks.ahp, strict=True)):
        level = volts[peak] - share * (volts[peak] - volts[ahp])
        if peak > begin:
            steepest = begin + int(np.argmax(slope[begin : peak + 1]))
            found[i] = peak + crossing_before(-volts[peak : ahp + 1], int(ahp - peak), -level) - steepest
    return found


def _width_at_threshold(volts: Floats, marks: Landmarks) -> Floats:
    """Return samples from begin until the potential of the begin is reached again; nan if never."""
    stops = np.append(marks.peak, len(volts))[1:]
    width = np.full(len(marks.peak), np.nan)
    for i, (begin, peak, stop) in enumerate(zip(marks.begin, marks.peak, stops, strict=True)):
        below = np.flatnonzero(volts[peak:stop] <= volts[begin])
        if len(below):
            width[i] = peak + below[0] - begin
    return width


def _width_at(volts: Floats, peak: Indices, level: float) -> Floats:
    """Return samples from the first above `level` to the first below it again."""
    width = np.full(len(peak), np.nan)
    limits = np.concatenate([[0], peak, [len(volts)]])
    for i, p in enumerate(peak):
        before = np.flatnonzero(volts[limits[i] : p] < level)
        after = np.flatnonzero(volts[p : limits[i + 2]] < level)
        if volts[p] > level and len(before) and len(after):
            width[i] = after[0] + p - (limits[i] + before[-1] + 1)
    return width


def _phase_slope(volts: Floats, slope: Floats, begin: Indices) -> Floats:
    a, b = np.maximum(begin - 2, 0), np.minimum(begin + 2, len(volts) - 1)
    return _ratio(slope[b] - slope[a], volts[b] - volts[a])


def _steepest(
    volts: Floats, slope: Floats, first: Indices, last: Indices, sign: int, width: Indices
) -> Floats:
    """Return the steepest slope (mV per sample) of each stretch, interpolated between samples.

    A central difference averages over two sampling intervals, which at 20 kHz takes a sixth of the slope of a
    fast action potential. The slope of a quintic spline is exact for what the sampling rate can carry. Where `width` is not 0,
    it is that of means over as many samples: a long action potential is so gentle that single samples show but noise.
    """
    found = np.full(len(first), np.nan)
    for i, (a, b, w) in enumerate(zip(first, last, width, strict=True)):
        if w:
            smooth = running_mean(volts[max(0, a - w) : b + w + 1], int(w))
            found[i] = (
                sign * float(np.max(sign * (smooth[w:] - smooth[:-w]))) / w if len(smooth) > w else np.nan
            )
            continue
        piece = sign * slope[a : max(b, a) + 1]
        alike = np.flatnonzero(piece >= piece.max() - 1e-3 * abs(piece.max()))
        at = int(a) + int(alike[len(alike) // 2])  # the middle of what is straight
        low, high = max(at - _SPLINE, 0), min(at + _SPLINE + 1, len(volts))
        if high - low < 6:
            found[i] = np.nan
            continue
        curve = scipy.interpolate.make_interp_spline(np.arange(low, high), volts[low:high], k=5).derivative()
        fine = np.linspace(max(at - 1, low), min(at + 1, high - 1), 41)
        found[i] = sign * float(np.max(sign * curve(fine)))
    return found


def _each(what: object, values: Floats, first: Indices, last: Indices) -> Floats:
    """Apply a reduction to each stretch [first, last]."""
    assert callable(what)
    return np.array([what(values[a : max(b, a) + 1]) for a, b in zip(first, last, strict=True)], np.float64)


def _ratio(above: NDArray[np.floating[Any]], below: NDArray[np.floating[Any]]) -> Floats:
    good = below != 0
    return np.where(good, above / np.where(good, below, 1), np.nan)
