"""Extracellular spikes: what the band of spikes says beside the network, and spikes the network did not name.

A unit fires the same shape again and again: the average of the deepest troughs, matched to the trace in units of its own
noise (whitened; e.g. Bar-Gad et al. 2001 J Neurosci Methods 107:1), tells a spike from noise of the same depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.common import clean, noise_sd
from napari_biofm.events.classical.extracellular import band_passed, further_side
from napari_biofm.events.physio_fm.decode import Candidates
from napari_biofm.types import Trace, run_task

Floats = NDArray[np.float64]

BLOCK = 1 << 20  # samples with one noise and one shape
BAND_HZ = (300.0, 6000.0)
SHALLOWEST = 2.5  # standard deviations; what is less deep is no candidate
COUNTED = 3.3  # troughs and peaks beyond it are counted against each other
SHAPE_S = (0.5e-3, 1.2e-3)  # before and after the trough
TOGETHER_S = 0.35e-3  # a trough and what the network says of it
APART_S = 0.6e-3
SWING_S = (4e-3, 6e-3)  # before and after a large spike, where it and the filter swing
LARGE = 8.0  # standard deviations
FEWEST_LARGE = 5  # isolated ones, to know their course
UNSEEN = -6.0  # logit of a trough the network says nothing about
_DEEPEST = 200  # troughs that make the shape


def unit_evidence(signal: Trace, found: Candidates) -> tuple[Candidates, Floats]:
    """Return the troughs of an extracellular trace as candidates, and what speaks for each.

    Parameters
    ----------
    signal : any unit; NaN marks gaps. found : what the network says.

    Returns
    -------
    candidates : times and amplitudes of troughs of the 300 to 6,000 Hz band (of peaks where the trace is inverted).
    columns : (n, 5) as in `evidence.NAMES`: the network's logit, depth and matched height in standard deviations, the
        logarithm of how many more deep troughs than peaks there are, the root of their rate.
    """
    parts: list[Candidates] = []
    columns: list[Floats] = []
    for start, piece in _blocks(signal):
        part, rows = _of_block(piece, start, signal.sampling_rate, found)
        parts.append(part)
        columns.append(rows)
    if not parts:
        return _none_of(found), np.zeros((0, 5))
    return Candidates.join(parts), np.concatenate(columns)


def _blocks(signal: Trace) -> Iterator[tuple[int, Trace]]:
    n = len(signal.values)
    count = max(1, round(n / BLOCK))
    edges = np.linspace(0, n, count + 1).astype(int).tolist()
    for a, b in itertools.pairwise(edges):
        yield a, Trace(signal.values[a:b], signal.sampling_rate, signal.unit)


def _none_of(found: Candidates) -> Candidates:
    return Candidates(*(getattr(found, name)[:0] for name in Candidates.__dataclass_fields__))


def _of_block(piece: Trace, start: int, fs: float, found: Candidates) -> tuple[Candidates, Floats]:
    cleaned, _ = clean(piece, 64)
    if cleaned is None:
        return _none_of(found), np.zeros((0, 5))
    band = run_task(band_passed(cleaned.values, fs, *BAND_HZ))
    band = band - np.float32(np.median(band))
    sigma = noise_sd(band) or max(1e-6 * float(np.ptp(band)), 1e-30)
    sign = further_side(band, sigma, surely=1.5)
    depth = sign * band / sigma
    trough, _ = scipy.signal.find_peaks(depth, height=SHALLOWEST, distance=max(1, round(APART_S * fs)))
    trough = trough[cleaned.usable(trough, max(2, round(1e-3 * fs)))]
    peeled = _peeled(depth.astype(np.float64), trough, fs)
    beside = np.where(depth[trough] > LARGE, depth[trough], peeled[trough])
    trough, beside = (v[beside >= np.maximum(SHALLOWEST, 0.5 * depth[trough])] for v in (trough, beside))
    peak, _ = scipy.signal.find_peaks(-depth, height=COUNTED, distance=max(1, round(APART_S * fs)))
    deep = int((depth[trough] > COUNTED).sum())
    index, logit = _said(trough, start, fs, found)
    rows = np.stack(
        [
            np.maximum(logit, UNSEEN),
            np.clip(beside, 0, 10),
            np.clip(_matched(depth.astype(np.float64), peeled, trough, fs), 0, 12),
            np.full(len(trough), np.clip(np.log((deep + 3) / (len(peak) + 3)), -1, 4)),
            np.full(len(trough), np.sqrt(deep * fs / max(len(depth), fs))),
        ],
        axis=1,
    )
    known = index >= 0

    def of_network(values: NDArray[Any], otherwise: float) -> NDArray[Any]:
        out = np.full((len(trough), *values.shape[1:]), otherwise, values.dtype)
        out[known] = values[index[known]]
        return out

    made = Candidates(
        _between(depth, trough, start) / fs,
        logit.astype(np.float32),
        of_network(found.artefact, -9.0),
        of_network(found.token, 0.0),
        _heights(cleaned.values, trough, sign, fs),
        of_network(found.features, 0.0),
    )
    return made, rows


def _peeled(depth: Floats, trough: NDArray[np.intp], fs: float) -> Floats:
    """Return the trace without its large spikes and what the filter of the band leaves around them.

    Taken away is the median course around isolated large spikes, scaled to each.
    """
    before, after = round(SWING_S[0] * fs), round(SWING_S[1] * fs)
    large = trough[depth[trough] > LARGE]
    apart = np.diff(large, prepend=-2 * after, append=len(depth) + 2 * after) > before + after
    alone = large[apart[:-1] & apart[1:] & (large >= before) & (large < len(depth) - after)][:_DEEPEST]
    if len(alone) < FEWEST_LARGE:
        return depth
    course = np.median([depth[k - before : k + after] / depth[k] for k in alone], axis=0)
    out = depth.copy()
    for k in large.tolist():
        a, b = max(0, k - before), min(len(out), k + after)
        out[a:b] -= depth[k] * course[a - k + before : b - k + before]
    return out


def _heights(x: NDArray[np.float32], trough: NDArray[np.intp], sign: float, fs: float) -> NDArray[np.float32]:
    """Return how far troughs lie from the level on both sides of them: neither the field nor the filter is in it."""
    n, near, far = len(x), max(1, round(1.5e-3 * fs)), max(3, round(4e-3 * fs))
    sides = [np.arange(-far, -near + 1), np.arange(near + round(0.5e-3 * fs), far + round(0.5e-3 * fs) + 1)]
    level = np.mean(
        [np.median(x[np.clip(trough[:, None] + side, 0, n - 1)], axis=1) for side in sides], axis=0
    )
    around = np.clip(trough[:, None] + np.arange(-1, 2), 0, n - 1)
    return np.asarray(sign * (sign * x[around]).max(1) - level, np.float32)


def _between(depth: NDArray[Any], at: NDArray[np.intp], start: int) -> Floats:
    """Return the places of troughs between samples, from the beginning of the sweep."""
    from napari_biofm.events.physio_fm.decode import between

    return np.asarray(between(depth.astype(np.float32), at) + start, np.float64)


def _said(
    trough: NDArray[np.intp], start: int, fs: float, found: Candidates
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return which of the network's candidates lies at each trough (-1 for none), and its logit."""
    index, logit = np.full(len(trough), -1, np.intp), np.full(len(trough), UNSEEN, np.float32)
    if not len(found.time) or not len(trough):
        return index, logit
    places = found.time * fs - start
    right = np.clip(np.searchsorted(trough, places), 0, len(trough) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(trough[left] - places) <= np.abs(trough[right] - places), left, right)
    near = np.abs(trough[nearest] - places) <= max(1.0, TOGETHER_S * fs)
    order = np.flatnonzero(near)[np.argsort(found.logit[near], kind="stable")]  # the surest last
    index[nearest[order]] = order
    logit[nearest[order]] = found.logit[order]
    return index, logit


def _matched(depth: Floats, peeled: Floats, trough: NDArray[np.intp], fs: float) -> Floats:
    """Return the output of the matched filter of the block's own shape at troughs, in standard deviations of noise.

    A trough beside a large spike is looked at in the trace without that spike (`peeled`), whose flanks pass the filter too.
    """
    before, after = max(2, int(SHAPE_S[0] * fs)), max(4, int(SHAPE_S[1] * fs))
    size = before + after
    inner = trough[(trough > before) & (trough < len(depth) - after - 1)]
    if len(inner) < 8:
        return np.maximum(depth[trough], 0)
    height = depth[inner]
    count = int(np.clip((height > 3.8).sum(), 8, _DEEPEST))
    chosen = inner[np.argsort(-height, kind="stable")[:count]]
    covariance = scipy.linalg.toeplitz(_autocovariance(depth, inner[height > 4], size))
    covariance += 0.05 * covariance[0, 0] * np.eye(size)
    out = np.zeros(len(depth))
    for _ in range(2):  # the second time with the troughs that fit best
        shape = np.median(np.stack([depth[k - before : k + after] for k in chosen]), axis=0)
        kernel = scipy.linalg.solve(covariance, shape, assume_a="pos")
        kernel = kernel / np.sqrt(max(float(shape @ kernel), 1e-12))
        filtered = scipy.signal.fftconvolve(depth, kernel[::-1], "valid")
        out[:] = 0
        out[before : before + len(filtered)] = filtered
        chosen = inner[np.argsort(-out[inner], kind="stable")[:count]]
    around = np.clip(trough[:, None] + np.arange(-2, 3), 0, len(out) - 1)
    best = out[around].max(1)
    if peeled is depth:
        return np.asarray(best)
    out[before : before + len(filtered)] = scipy.signal.fftconvolve(peeled, kernel[::-1], "valid")
    return np.asarray(np.where(depth[trough] > LARGE, best, out[around].max(1)))


def _autocovariance(x: Floats, spikes: NDArray[np.intp], lags: int) -> Floats:
    """Return the autocovariance of the trace away from its spikes, lags 0 to `lags` - 1."""
    quiet = np.ones(len(x), bool)
    for k in spikes:
        quiet[max(0, k - lags) : k + lags] = False
    if quiet.sum() < 20 * lags:
        quiet[:] = True
    kept = np.where(quiet, x, 0.0)
    size = 1 << int(np.ceil(np.log2(len(x) + lags)))
    power = np.abs(np.fft.rfft(kept, size)) ** 2
    pairs = np.abs(np.fft.rfft(quiet.astype(float), size)) ** 2
    covariance, count = (np.fft.irfft(v, size)[:lags] for v in (power, pairs))
    return np.asarray(covariance / np.maximum(count, 1))
