"""Calcium -> spikes by non-negative deconvolution of an AR(1) model (Friedrich, Zhou & Paninski 2017).

OASIS minimises ``0.5 |c - y|^2`` under ``s_t = c_t - g c_(t-1) >= 0``. With ``c_t = g^t d_t`` that is an
isotonic regression of ``y_t / g^t`` with weights ``g^(2 t)``, for which SciPy has compiled code: the same
pools, the same exact minimum, no further dependency. Where the package `oasis-deconv` is installed (GPL-3,
so it is not required), the option `library` = 1 lets it do the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.lib.stride_tricks import sliding_window_view

from napari_biofm.events.classical.common import (
    Floats,
    Indices,
    Samples,
    clean,
    criterion_at,
    lowest_score,
    scores,
    table,
)
from napari_biofm.events.classical.kinetics import Kinetics, measure
from napari_biofm.events.options import OptionValues, option_values
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Kind,
    ModelError,
    Option,
    Progress,
    Task,
    Trace,
    no_events,
)

_SPAN = 300.0  # time constants per block: g^(-t) stays far from overflow
_GROUP_S = 0.1  # jumps closer than this are one event
_USUAL_DECAY_S = 0.8
_PRIOR = 0.3  # weight of the usual decay, in the logarithm
_OVERLAP = 25.0  # time constants after which a block has forgotten its start, exp(-25) = 1e-11


@dataclass(frozen=True)
class Deconvolved:
    """A calcium trace explained by spikes.

    Attributes
    ----------
    flat : (n_frames,) the trace without its baseline.
    calcium : (n_frames,) noise-free calcium, unit of the trace, baseline 0.
    activity : (n_frames,) jumps of calcium per frame, same unit, 0 below their standard error; divided by
        `unit_jump` it is spikes.
    noise : standard deviation of the noise.
    jump_error : standard error of the size of one isolated jump, ``noise sqrt(1 - g^2)``.
    decay_s : time constant of the model.
    unit_jump : what counts as one spike: the typical small jump, unit of the trace.
    """

    flat: Floats
    calcium: Floats
    activity: Floats
    noise: float
    jump_error: float
    decay_s: float
    unit_jump: float

    def rate(self, sampling_rate: float, smooth_s: float = 0.05) -> Floats:
        """Return (n_frames,) spikes/s, smoothed by a Gaussian of `smooth_s`."""
        raw = self.activity / self.unit_jump * sampling_rate
        return np.asarray(
            scipy.ndimage.gaussian_filter1d(raw, max(smooth_s * sampling_rate, 1e-3), mode="constant")
        )


OPTIONS = (
    Option("decay_s", "s", 0, 60, 0.0, "Decay time of the indicator; 0 takes it from the autocovariance."),
    Option("sigma", "", 0.1, 1000, 4.0, "Calcium that an event adds, in standard errors of one jump."),
    Option("group_s", "s", 0, 60, _GROUP_S, "Jumps closer than this are one event."),
    Option("baseline_s", "s", 0.1, 1e5, 30.0, "Window of the running baseline."),
    Option("library", "", 0, 1, 0.0, "1 lets the package oasis-deconv do the fit, where it is installed."),
)


class OasisDetector:
    """Groups of jumps in the deconvolved calcium; the time is the first jump of a group.

    The baseline is a running quantile over 30 s, the noise comes from the upper half of the spectrum, the
    decay from the autocovariance. The criterion is the calcium a group adds in standard errors of one jump
    (which fall with the frame rate), customary 4.
    """

    name = "oasis"
    kinds: Sequence[Kind] = ("calcium",)
    options: Sequence[Option] = OPTIONS

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return calcium events; `time_s` is the first spike of each group as inferred."""
        chosen = option_values(self, settings)
        cleaned, words = clean(signal, 16)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        fs = signal.sampling_rate
        result = deconvolve(cleaned.values, fs, settings)
        yield Progress(1, 2, f"decay of {result.decay_s:.2g} s, noise {result.noise:.3g} {signal.unit}")
        customary = chosen["sigma"]
        floor = criterion_at(lowest_score(settings), customary)
        first, size = groups(result.activity, fs, chosen["group_s"])
        criterion = size / result.jump_error
        strong = (criterion >= floor) & cleaned.usable(first, max(1, round(0.35 * fs)))
        first, size, criterion = first[strong], size[strong], criterion[strong]
        shape, _ = transients(result, first, fs)
        score = scores(criterion, customary)
        return table(signal, first / fs, "calcium", score, size, shape.rise_s, shape.decay_s)


def deconvolve(
    values: Samples, sampling_rate: float, settings: DetectionSettings | None = None
) -> Deconvolved:
    """Explain a dF/F trace by spikes.

    Parameters
    ----------
    values : (n_frames,) without gaps.
    sampling_rate : Hz.
    settings : options as in `OasisDetector`.
    """
    chosen = OptionValues(OasisDetector.name, OPTIONS, {} if settings is None else settings.options)
    noise = spectral_noise(np.asarray(values, np.float64))
    flat = values - _floor(values, sampling_rate, noise, chosen["baseline_s"])
    decay = chosen["decay_s"] or decay_from_autocovariance(flat, sampling_rate, noise)
    g = float(np.exp(-1 / max(decay * sampling_rate, 0.3)))
    penalty = 1.0 * noise * (1 - g)
    calcium = _library(flat, g, penalty) if chosen["library"] else ar1(flat - penalty, g)
    activity = np.diff(calcium, prepend=0.0) + (1 - g) * np.concatenate([[0.0], calcium[:-1]])
    error = noise * float(np.sqrt(1 - g**2))
    activity[activity < error] = 0.0
    activity[0] = 0.0  # what was there before the trace began
    _, size = groups(activity, sampling_rate, _GROUP_S)
    return Deconvolved(flat, calcium, activity, noise, error, decay, _unit_jump(size, error))


def transients(result: Deconvolved, first: Indices, sampling_rate: float) -> tuple[Kinetics, Floats]:
    """Measure the transients of events that were found by any method.

    Parameters
    ----------
    result : the trace, deconvolved.
    first : (n_events,) sorted frames of the first spike of each event.
    sampling_rate : Hz.

    Returns
    -------
    shape : of the trace itself, up to the next event.
    added : (n_events,) calcium added from the frame before the event to the highest one within 0.5 s and
        before the next event; unit of the trace, 0 where there is none.
    """
    last = np.concatenate([first[1:], [len(result.flat)]])
    peak = _peaks(result.calcium, first, last, round(0.5 * sampling_rate) + 1)
    before, after = max(1, round(0.1 * sampling_rate)), max(6, round(4 * result.decay_s * sampling_rate))
    flat = np.asarray(result.flat, np.float32)
    shape = measure(flat, first, peak, 1.0, sampling_rate, before=before, after=after)
    jumps = np.concatenate([[0.0], np.cumsum(result.activity)])
    return shape, jumps[peak + 1] - jumps[np.maximum(first - 1, 0)]


def ar1(values: Floats, g: float) -> Floats:
    """Return the calcium closest to `values` that decays by `g` per frame and never jumps down.

    Exact minimum by isotonic regression in blocks that overlap by 25 time constants.

    Parameters
    ----------
    values : (n_frames,) baseline 0.
    g : 0 < g < 1, decay per frame.
    """
    tau = -1 / np.log(g)
    span, overlap = max(16, int(_SPAN * tau)), max(8, int(_OVERLAP * tau))
    out = np.empty(len(values))
    for start in range(0, len(values), span):
        first, last = max(0, start - overlap), min(len(values), start + span + overlap)
        fall = g ** np.arange(last - first)
        fitted = scipy.optimize.isotonic_regression(values[first:last] / fall, weights=fall**2).x * fall
        stop = min(start + span, len(values))
        out[start:stop] = fitted[start - first : stop - first]
    return np.maximum(out, 0.0)


def _library(values: Floats, g: float, penalty: float) -> Floats:
    try:
        from oasis.oasis_methods import oasisAR1
    except ImportError as error:
        raise ModelError(
            "option library = 1 needs the package oasis-deconv (GPL-3): pip install oasis-deconv, "
            "or leave it out; the built-in fit has the same minimum"
        ) from error
    return np.asarray(oasisAR1(np.ascontiguousarray(values - penalty), g)[0], np.float64)


def _floor(values: Samples, fs: float, noise: float, window_s: float) -> Floats:
    """Return a running 20 % quantile, plus 0.84 sd: where it lies below the median of mere noise."""
    n = len(values)
    window = max(8, min(n, round(window_s * fs)))
    hop = max(1, window // 8)
    starts = np.arange(0, max(1, n - window + 1), hop)
    rows = sliding_window_view(values, window)[::hop, :: max(1, window // 300)]
    quantiles = np.partition(rows, rows.shape[1] // 5, axis=1)[:, rows.shape[1] // 5].astype(np.float64)
    if len(quantiles) > 2:
        quantiles = scipy.ndimage.gaussian_filter1d(quantiles, 1.0, mode="nearest")
    line = np.interp(np.arange(n), starts + window / 2, quantiles)
    return np.asarray(line + 0.84 * noise)


def spectral_noise(values: Floats) -> float:
    """Return the standard deviation of white noise from the upper half of the spectrum (Welch)."""
    size = min(256, len(values))
    frequency, power = scipy.signal.welch(values, nperseg=size)
    high = power[frequency > 0.25]
    level = float(np.sqrt(np.median(high) / 2)) if len(high) else 0.0
    return level if level > 0 else max(1e-9, 1e-6 * float(np.ptp(values)))


def decay_from_autocovariance(flat: Floats, sampling_rate: float, noise: float) -> float:
    """Return the decay time (s) from the fall of the autocovariance over its first second.

    White noise sits in lag 0 alone, which is left out; the slope of the logarithm is taken down to 15 %.
    Slow drift lengthens and regular firing shortens it, so the result is drawn towards 0.8 s, the middle
    of the indicators in use, with a weight of 30 % (in the logarithm). Between 0.05 and 2.5 s; 0.8 s
    where nothing is seen.
    """
    n = len(flat)
    lags = max(3, min(n // 4, round(1.0 * sampling_rate)))
    centred = flat - flat.mean()
    size = scipy.fft.next_fast_len(n + lags, real=True)
    covariance = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2, size)[: lags + 1] / n
    if covariance[1] <= 0.02 * noise**2:
        return _USUAL_DECAY_S
    lag = np.arange(1, lags + 1)
    useful = covariance[1:] > 0.15 * covariance[1]
    stop = lags if useful.all() else max(2, int(np.argmin(useful)))
    slope = np.polyfit(lag[:stop], np.log(np.maximum(covariance[1 : stop + 1], 1e-300)), 1)[0]
    tau = -1 / slope / sampling_rate if slope < 0 else np.inf
    tau = float(np.clip(tau, 0.02, 4.0)) ** (1 - _PRIOR) * _USUAL_DECAY_S**_PRIOR
    return float(np.clip(tau, 0.05, 2.5))


def _unit_jump(size: Floats, error: float) -> float:
    """Return what one spike adds: the 30 % quantile of the groups of more than 4 standard errors."""
    clear = size[size > 4 * error]
    return float(np.quantile(clear, 0.3)) if len(clear) >= 3 else 5 * error


def groups(activity: Floats, sampling_rate: float, gap_s: float) -> tuple[Indices, Floats]:
    """Return the first frame and the summed jump of each group of jumps.

    A group ends after `gap_s` without a jump.
    """
    active = np.flatnonzero(activity)
    if not len(active):
        return active, np.zeros(0)
    apart = np.diff(active) > max(1.0, gap_s * sampling_rate)
    begin = np.concatenate([[0], np.flatnonzero(apart) + 1])
    size = np.add.reduceat(activity[active], begin)
    return active[begin], np.asarray(size)


def _peaks(calcium: Floats, first: Indices, last: Indices, reach: int) -> Indices:
    """Return the highest frame of each group, before the next one and within `reach` frames."""
    stops = np.minimum(np.minimum(last, first + reach), len(calcium))
    spans = zip(first, stops, strict=True)
    return np.array([a + int(np.argmax(calcium[a : max(b, a + 1)])) for a, b in spans], np.intp)
