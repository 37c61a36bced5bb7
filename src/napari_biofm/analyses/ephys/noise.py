"""Variance about the mean event, and the current of one channel that it tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_biofm.analyses.ephys.common import Floats, boxcar
from napari_biofm.signals.recording import Recording
from napari_biofm.types import Events, RecordingError

_LEAST_EVENTS = 20
_FROM, _TO = 0.98, 0.1  # of the peak of the mean: the part of the decay that is used
_PEAK_S = 0.2e-3  # over which peaks are read
_BLOCKS = 10  # of events, each left out once for the error


@dataclass(frozen=True, eq=False)
class Variance:
    """Variance against mean in bins of the decay, the fit, and the mean event.

    Attributes
    ----------
    mean, variance, fitted : (n_bins,). t_ms, course : (n_times,) of the mean event.
    current, error : of one channel, and its standard error (jackknife over blocks of events). channels : open at the peak, NaN where the parabola does not bend.
    n : events. notes : what could not be told.
    """

    mean: Floats
    variance: Floats
    fitted: Floats
    t_ms: Floats
    course: Floats
    current: float
    error: float
    channels: float
    n: int
    notes: tuple[str, ...]


def variance_against_mean(
    recording: Recording,
    events: Events,
    channel: int,
    name: str,
    span_s: tuple[float, float],
    bins: int,
    scaled: bool,
) -> Variance:
    """Cut the events of a channel that stand alone, and read variance against mean over their decay.

    Parameters
    ----------
    recording, events, channel : where. name : class of the events, "" for all.
    span_s : seconds before and after the peak.
    bins : over the decay, equal steps of the mean.
    scaled : whether the mean is scaled to the peak of each event.

    Raises
    ------
    RecordingError
        If there are fewer than 20 events that stand alone.
    """
    fs = recording.channels[channel].sampling_rate
    before, after = max(4, round(span_s[0] * fs)), round(span_s[1] * fs)
    cuts, lost = _cuts(recording, events, channel, name, before, after)
    if len(cuts) < _LEAST_EVENTS:
        raise RecordingError(
            f"{len(cuts)} events of channel {channel} stand alone in their window ({lost} do not): {_LEAST_EVENTS} are the least "
            "for their variance; make the window shorter"
        )
    up, mean, sign = _above(cuts, before)
    peak = before // 2 + int(np.argmax(boxcar(mean[before // 2 :], max(1, round(_PEAK_S * fs)))))
    t: Floats = ((np.arange(len(mean)) - before) * 1e3 / fs).astype(np.float64)
    x, v, weight = _against(up, before, peak, max(1, round(_PEAK_S * fs)), bins, scaled)
    current, channels, fitted = _parabola(x, v, weight)
    blocks = [np.arange(len(up)) % _BLOCKS != k for k in range(_BLOCKS)]
    others = np.array([
        _parabola(*_against(up[kept], before, peak, max(1, round(_PEAK_S * fs)), bins, scaled))[0] for kept in blocks
    ])  # fmt: skip
    error = float(np.sqrt((_BLOCKS - 1) / _BLOCKS * ((others - others.mean()) ** 2).sum()))
    notes = [f"{lost} events left out: others in their window, or too near an end"] if lost else []
    if not current > 2 * error:
        notes.append("cannot tell the current of one channel: the variance does not grow with the mean")
    return Variance(
        x, v, fitted, t, np.asarray(sign * mean, np.float64), current, error, channels, len(up), tuple(notes)
    )


def _above(cuts: Floats, before: int) -> tuple[Floats, Floats, float]:
    """Return events above their baselines and upright, their mean, and their sign."""
    cuts = cuts - cuts[:, : before // 2].mean(axis=1, keepdims=True)
    sign = float(np.sign(cuts.mean(axis=0)[before])) or 1.0
    return sign * cuts, sign * cuts.mean(axis=0), sign


def _against(
    up: Floats, before: int, peak: int, width: int, bins: int, scaled: bool
) -> tuple[Floats, Floats, Floats]:
    """Return mean, variance and number of samples in bins of the decay of the mean."""
    mean, sizes = up.mean(axis=0), boxcar_at(up, peak, width)
    top = float(sizes.mean())
    model = np.outer(sizes / top, mean) if scaled else np.broadcast_to(mean, up.shape)
    variance = ((up - model) ** 2).sum(axis=0) / (len(up) - 1)
    return _binned(mean, variance - variance[: before // 2].mean(), peak, top, bins)


def boxcar_at(up: Floats, at: int, width: int) -> Floats:
    """Return the mean over `width` samples around a sample of every row."""
    a = max(0, at - width // 2)
    return np.asarray(up[:, a : a + width].mean(axis=1))


def _cuts(
    recording: Recording, events: Events, channel: int, name: str, before: int, after: int
) -> tuple[Floats, int]:
    fs = recording.channels[channel].sampling_rate
    real = events[(events["channel"] == channel) & ~np.isin(events["class"], ("artefact", "rejected"))]
    rows, lost = [], 0
    for sweep in np.unique(real["sweep"]):
        mine = np.sort(real[real["sweep"] == sweep], order="time_s")
        values = recording.values(int(sweep), channel).astype(float)
        at = np.round(mine["time_s"] * fs).astype(int)
        near = np.diff(at, prepend=-(10**9)) < before, np.diff(at, append=10**9) < after
        for k, one in enumerate(at):
            if name and mine["class"][k] != name:
                continue
            piece = values[one - before : one + after] if one >= before else np.zeros(0)
            if near[0][k] or near[1][k] or len(piece) < before + after or not np.isfinite(piece).all():
                lost += 1
                continue
            rows.append(piece)
    return np.array(rows).reshape(len(rows), -1), lost


def _binned(
    mean: Floats, variance: Floats, peak: int, top: float, bins: int
) -> tuple[Floats, Floats, Floats]:
    late = np.arange(peak, len(mean))
    below = np.flatnonzero(mean[late] < _TO * top)
    late = late[: below[0]] if len(below) else late
    edges = np.linspace(_TO * top, _FROM * top, bins + 1)
    which = np.digitize(mean[late], edges) - 1
    rows = [
        (mean[late[which == k]].mean(), variance[late[which == k]].mean(), np.sum(which == k))
        for k in range(bins)
        if (which == k).any()
    ]
    x, v, n = np.array(rows, float).T
    return x, v, n


def _parabola(x: Floats, v: Floats, weight: Floats) -> tuple[float, float, Floats]:
    """Fit v = i x - x^2 / N by weighted least squares; returns i, N and the curve."""
    basis = np.stack([x, -(x**2)], 1)
    root = np.sqrt(weight)
    found, *_ = np.linalg.lstsq(basis * root[:, None], v * root, rcond=None)
    return float(found[0]), 1 / float(found[1]) if found[1] > 0 else float("nan"), np.asarray(basis @ found)
