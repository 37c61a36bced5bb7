"""From fits to numbers: size, baseline, crossings, charge, each corrected by what the trace says there.

Where the trace differs from the fit by more than its noise, the numbers follow the trace: the mean of what the fit
leaves over at the peak, before the onset and at each crossing is added, as far as it exceeds two standard errors.
The peak is where the fit has it, so that no noise is picked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_biofm.events.measuring.bins import Bins, Floats, Sums, steps_between
from napari_biofm.events.measuring.shapes import Curve, curve, in_bins
from napari_biofm.events.measuring.transients import Fitted, tails


@dataclass(frozen=True)
class Sizes:
    """Numbers of synaptic events, (n_events,) each; times in samples, NaN where they cannot be measured.

    Attributes
    ----------
    peak : time of the peak.
    baseline, amplitude : unit of the trace; amplitude with its sign, `error` its standard error.
    rise_20_80, rise_10_90, half_width : between crossings of the stated parts of the amplitude.
    area : amplitude times samples, from the onset on.
    """

    peak: Floats
    baseline: Floats
    amplitude: Floats
    error: Floats
    rise_20_80: Floats
    rise_10_90: Floats
    half_width: Floats
    area: Floats


def residual_mean(
    sums: Sums, fitted: Fitted, start: Floats, stop: Floats, n: int = 6
) -> tuple[Floats, Floats]:
    """Return the mean of what the fit leaves over between two times of each event, and its standard error."""
    bins: Bins = steps_between(sums, start, stop, n)
    shapes = fitted.fit.shapes
    model = in_bins(shapes, bins) + tails(shapes, bins, np.arange(len(start))) + shapes.offset[:, None]
    count = bins.count.sum(1)
    mean = (bins.count * (bins.y - model)).sum(1) / np.maximum(count, 1)
    return np.where(count > 0, mean, 0.0), fitted.noise / np.sqrt(np.maximum(count, 1))


def meant(value: Floats, error: Floats) -> Floats:
    """Return the part of a deviation that is more than noise: none up to two standard errors."""
    share = np.maximum(0.0, 1 - (2 * error / np.maximum(np.abs(value), 1e-6 * error + 1e-300)) ** 2)
    return np.asarray(value * share)


def sizes(sums: Sums, fitted: Fitted) -> Sizes:
    """Measure fitted events."""
    shapes = fitted.fit.shapes
    course = curve(shapes)
    sign = np.where(shapes.sign == 0, 1.0, shapes.sign)
    up, down = course.crossing(0.93)
    up = np.maximum(np.where(np.isfinite(up), up, course.peak - 1), fitted.first)
    down = np.minimum(np.where(np.isfinite(down), down, course.peak + 1), fitted.last)
    top = meant(*residual_mean(sums, fitted, up, down))
    stop = course.crossing(0.02)[0]
    stop = np.where(np.isfinite(stop), stop, shapes.onset) - 0.3 * shapes.to_peak - 1
    start = np.maximum(stop - np.maximum(shapes.to_peak + shapes.length, 6.0), fitted.first)
    foot, error = residual_mean(sums, fitted, start, np.maximum(stop, start + 1))
    foot = np.where(stop - start >= 3, meant(foot, error), 0.0)
    amplitude = sign * course.height + top - foot
    baseline = shapes.offset + foot
    times = {
        part: _crossed(sums, fitted, course, part, sign * amplitude, sign * foot)
        for part in (0.1, 0.2, 0.5, 0.8, 0.9)
    }
    half_width = np.where(times[0.5][1] < fitted.last, times[0.5][1] - times[0.5][0], np.nan)
    return Sizes(
        course.peak,
        baseline + sums.level,
        amplitude,
        np.abs(amplitude) * fitted.fit.size_error,
        _positive(times[0.8][0] - times[0.2][0]),
        _positive(times[0.9][0] - times[0.1][0]),
        _positive(half_width),
        _area(sums, fitted, course, foot, sign),
    )


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _crossed(
    sums: Sums, fitted: Fitted, course: Curve, part: float, amplitude: Floats, foot: Floats
) -> tuple[Floats, Floats]:
    """Return crossings of a part of the amplitude (upright), moved by what the trace leaves over there."""
    shapes, sign = fitted.fit.shapes, fitted.fit.shapes.sign
    moved = []
    most = 0.3 * shapes.to_peak, 0.3 * shapes.length
    for at, width, limit in zip(
        course.crossing(part), (0.15 * shapes.to_peak, 0.25 * shapes.length), most, strict=True
    ):
        place = np.nan_to_num(at)
        left, error = residual_mean(sums, fitted, place - width, place + width)
        # a crossing between two samples is where the fit has it: one sample cannot tell
        left = np.where(width < 0.5, 0.0, sign * meant(left, error))
        change = left - foot - part * (amplitude - course.height)
        slope = course.slope(place)
        step = -change / np.where(slope == 0, np.inf, slope)
        moved.append(at + np.clip(step, -limit, limit))
    return moved[0], moved[1]


def _area(sums: Sums, fitted: Fitted, course: Curve, foot: Floats, sign: Floats) -> Floats:
    """Return the integral of the fit, plus what is left over up to three decay constants after the peak."""
    shapes = fitted.fit.shapes
    stop = np.minimum(course.peak + 3 * shapes.length, fitted.last)
    left, error = residual_mean(sums, fitted, shapes.onset, stop, 12)
    length = np.maximum(stop - shapes.onset, 0)
    area = shapes.area + meant(left - foot, 2 * error) * length
    return np.where(np.sign(area) == sign, area, shapes.area)
