"""Cells that overlap, taken apart: footprints and courses by non-negative matrix factorisation, begun at the masks.

Source: hierarchical alternating least squares with footprints that stay near their seeds, as in CNMF (Pnevmatikakis et al.,
Neuron 89:285, 2016). The movie streams by twice per round; only sums over frames are kept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import release_pages, unpacked
from napari_biofm.types import LazyArray, Progress, RecordingError, Task

_CHUNK = 200  # frames at once
_INNER = 10  # sweeps of least squares over the components, per round
_LEAST = 0.1  # of a footprint's largest weight: less is set to 0
Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Demixed:
    """Cells taken apart.

    Attributes
    ----------
    labels : (n,) ids. frame_rate : Hz.
    weights : (n, Y, X) float32, how much of each pixel belongs to a cell; the mean over its pixels above 0 is 1.
    traces : (n, T) float32, brightness of each cell above its lowest, in units of the movie, without what cells over it
        and the background add; NaN where a frame has no number.
    dff : (n, T) float32, the same over the brightness at rest of the footprint; NaN where that is not above 0.
    explained : share of the variance of the footprints' pixels that the model explains.
    """

    labels: NDArray[np.int64]
    weights: Values
    traces: Values
    dff: Values
    frame_rate: float
    explained: float

    def recording(self, name: str = "demixed") -> Recording:
        """Return dF/F as a recording whose channels are the cells."""
        return Recording.from_arrays(
            self.dff, self.frame_rate, ["dF/F"] * len(self.labels), labels=self.labels, format="traces",
            metadata={"name": name},
        )  # fmt: skip


def demix(
    movie: LazyArray,
    masks: NDArray[Any],
    frame_rate: float,
    *,
    grow: int = 4,
    rounds: int = 3,
    dark_level: float = 0.0,
) -> Task[Demixed]:
    """Take cells apart that lie over each other or beside each other.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    masks : (Y, X) labels that the footprints begin at.
    frame_rate : Hz.
    grow : pixels by which a footprint may reach beyond its mask; masks that share no pixel cut cells off where they overlap.
    rounds : of courses, then footprints.
    dark_level : what a pixel without light reads, for dF/F.

    Returns
    -------
    Demixed. Progress counts passes over the movie.

    Raises
    ------
    RecordingError
        If shapes do not fit or there are no cells.
    """
    from scipy import ndimage

    movie, rate = unpacked(movie), checked_rate(frame_rate)
    shape = tuple(int(n) for n in movie.shape)
    ids = np.unique(masks[masks > 0]).astype(np.int64)
    if len(shape) != 3 or masks.shape != shape[1:] or not len(ids) or shape[0] < 10:
        raise RecordingError(
            f"a movie of shape {shape} with masks of shape {masks.shape} and {len(ids)} cells: the movie must be (T, Y, X) "
            "of 10 frames or more, the masks (Y, X) with cells"
        )
    support = np.stack(
        [
            ndimage.binary_dilation(masks == label, iterations=max(grow, 0)) if grow > 0 else masks == label
            for label in ids
        ]
    )
    pixels = np.flatnonzero(ndimage.binary_dilation(support.any(axis=0), iterations=3))
    allowed = support.reshape(len(ids), -1)[:, pixels]
    footprints = (masks.ravel()[pixels] == ids[:, None]).astype(np.float64)
    footprints = np.vstack(
        [footprints, np.ones((1, len(pixels)))]
    )  # the last is the background that flickers
    rest = yield from _at_rest(movie, pixels)
    sums = _Sums(movie, pixels, rest)
    courses = np.zeros((len(footprints), shape[0]))
    for round_ in range(rounds):
        yield Progress(2 * round_, 2 * rounds, f"demixing: courses, round {round_ + 1} of {rounds}")
        courses = _solved(footprints @ footprints.T, sums.by_footprint(footprints), courses, signed=len(ids))
        yield Progress(2 * round_ + 1, 2 * rounds, f"demixing: footprints, round {round_ + 1} of {rounds}")
        products = sums.by_course(courses)
        known = np.where(sums.good, courses, 0)
        footprints = _solved(known @ known.T, products, footprints, allowed=allowed)
    courses = _solved(footprints @ footprints.T, sums.by_footprint(footprints), courses, signed=len(ids))
    return _result(ids, footprints, courses, pixels, rest - dark_level, sums, shape, rate)


def _at_rest(movie: LazyArray, pixels: NDArray[np.intp]) -> Task[NDArray[np.float64]]:
    """Return the brightness of pixels at rest: the 20th percentile of means over some 200 stretches of the movie."""
    n = int(movie.shape[0])
    edges = np.unique(np.linspace(0, n, min(n, 200) + 1).astype(int))
    means = np.empty((len(edges) - 1, len(pixels)), np.float32)
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        block = np.asarray(movie[int(a) : min(int(b), int(a) + 5)]).astype(np.float32)
        means[i] = (
            np.nanmean(block.reshape(len(block), -1)[:, pixels], axis=0)
            if np.isfinite(block).any()
            else np.nan
        )
        if i % 50 == 0:
            yield Progress(i, len(edges), "demixing: brightness at rest")
    return np.nan_to_num(np.nanpercentile(means, 20, axis=0)).astype(np.float64)


class _Sums:
    """Products of the movie above rest with footprints and courses, some frames at a time."""

    def __init__(self, movie: Any, pixels: NDArray[np.intp], rest: NDArray[np.float64]) -> None:
        self._movie, self._pixels, self._rest = movie, pixels, rest
        self.good = np.ones(int(movie.shape[0]), bool)
        self.power = 0.0

    def _blocks(self) -> Any:
        for start in range(0, int(self._movie.shape[0]), _CHUNK):
            block = np.asarray(self._movie[start : start + _CHUNK])
            values = block.reshape(len(block), -1)[:, self._pixels].astype(np.float64) - self._rest
            bad = ~np.isfinite(values).all(axis=1)
            values[bad] = 0
            self.good[start : start + len(block)] = ~bad
            yield slice(start, start + len(block)), values
            release_pages(self._movie)

    def by_footprint(self, footprints: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, T)."""
        found = np.zeros((len(footprints), len(self.good)))
        self.power = 0.0
        for span, values in self._blocks():
            found[:, span] = footprints @ values.T
            self.power += float(np.square(values).sum())
        return found

    def by_course(self, courses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, pixels)."""
        found = np.zeros((len(courses), len(self._pixels)))
        for span, values in self._blocks():
            found += courses[:, span] @ values
        return found


def _solved(
    gram: NDArray[np.float64],
    products: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    signed: int = -1,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return rows x that make gram @ x = products as well as may be, 0 or more but for row `signed`, within `allowed`."""
    x = start.copy()
    for _ in range(_INNER):
        for k in range(len(x)):
            x[k] += (products[k] - gram[k] @ x) / max(gram[k, k], 1e-12)
            if k != signed:
                np.maximum(x[k], 0, out=x[k])
            if allowed is not None and k < len(allowed):
                x[k] *= allowed[k]
    return x


def _result(
    ids: NDArray[np.int64],
    footprints: NDArray[np.float64],
    courses: NDArray[np.float64],
    pixels: NDArray[np.intp],
    rest: NDArray[np.float64],
    sums: _Sums,
    shape: tuple[int, ...],
    rate: float,
) -> Demixed:
    """Scale footprints to a mean of 1, and make dF/F of courses."""
    n = len(ids)
    products = sums.by_footprint(footprints)
    left = (
        sums.power
        - 2 * float((courses * products).sum())
        + float(((footprints @ footprints.T) * (courses @ courses.T)).sum())
    )
    weights, traces = np.zeros((n, *shape[1:]), np.float32), np.zeros((n, shape[0]), np.float32)
    dff = np.full((n, shape[0]), np.nan, np.float32)
    for k in range(n):
        one = footprints[k].copy()
        one[one < _LEAST * one.max(initial=0)] = 0
        scale = float(one[one > 0].mean()) if (one > 0).any() else 1.0
        weights[k].ravel()[pixels] = one / scale
        traces[k] = courses[k] * scale
        low = float(np.percentile(traces[k][sums.good], 8)) if sums.good.any() else 0.0
        f0 = float((one * rest).sum() / max(one.sum(), 1e-12)) + low
        if f0 > 0:
            dff[k] = (traces[k] - low) / f0
    traces[:, ~sums.good] = np.nan
    dff[:, ~sums.good] = np.nan
    return Demixed(ids, weights, traces, dff, rate, 1 - left / max(sums.power, 1e-12))
