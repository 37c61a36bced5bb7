"""Which pixels are averaged: cells, their annuli, and what is done where a frame lacks some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.settings import TraceSettings

_LEAST_COVER = 0.5  # of a group's pixels that a frame must have


def neuropil_masks(
    labels: NDArray[Any], ids: NDArray[Any], inner: int = 2, outer: int = 9
) -> list[NDArray[np.intp]]:
    """Return per cell the flat pixel indices of its annulus, other cells and their rims left out."""
    from scipy import ndimage

    taken = ndimage.binary_dilation(labels > 0, iterations=inner) if inner > 0 else labels > 0
    dense = np.searchsorted(ids, labels) + 1  # boxes are found per value: large ids would make long lists
    dense[labels <= 0] = 0
    boxes = ndimage.find_objects(dense)
    annuli = []
    for number, label in enumerate(ids):
        box = boxes[number]
        y0, x0 = (max(0, one.start - outer - 1) for one in box)
        y1, x1 = (min(size, one.stop + outer + 1) for one, size in zip(box, labels.shape, strict=True))
        away = ndimage.distance_transform_edt(labels[y0:y1, x0:x1] != label)
        y, x = np.nonzero((away > inner) & (away <= outer) & ~taken[y0:y1, x0:x1])
        annuli.append(np.ravel_multi_index((y + y0, x + x0), labels.shape))
    return annuli


@dataclass(frozen=True, eq=False)
class PixelGroups:
    """Groups of pixels whose mean is a trace: n cells, then their n annuli.

    Attributes
    ----------
    means : sparse (2 n, pixels) matrix of means, only over pixels that have numbers.
    there : (2 n,) whether a group has such pixels.
    template : (pixels,) the usual picture of the movie, 0 where it never has a number.
    usual : (2 n,) means of the template.
    dark : level without light, for the pixels a frame lacks.
    """

    means: Any
    there: NDArray[np.bool_]
    template: NDArray[np.float32]
    usual: NDArray[np.float32]
    dark: float

    def measure(self, pixels: NDArray[np.float32], finite: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return the means (2 n, frames) of some frames, NaN where a group has no or too few pixels.

        Where a frame lacks pixels of a group, its mean is what the others say: their light relative to the template,
        times the light of the whole group in the template. So a border that comes and goes moves no baseline.

        Parameters
        ----------
        pixels : (frames, pixels), 0 where there is no number.
        finite : (frames, pixels) where there are numbers, None if everywhere.
        """
        sums = np.asarray(self.means @ pixels.T, np.float32)
        sums[~self.there] = np.nan
        if finite is None:
            return sums
        some = np.flatnonzero(~finite.all(axis=1))
        if not some.size:
            return sums
        seen = finite[some].astype(np.float32)
        cover = np.asarray(self.means @ seen.T)
        expected = np.asarray(self.means @ (seen * self.template).T)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, expected = sums[:, some] / cover, expected / cover
            usual = self.usual[:, None]
            gain = (usual - self.dark) / (expected - self.dark)
            safe = np.isfinite(gain) & (gain > 0.2) & (gain < 5)
            filled = np.where(safe, self.dark + (mean - self.dark) * gain, mean + usual - expected)
        filled[cover < _LEAST_COVER] = np.nan
        whole = cover > 1 - 1e-5
        filled[whole] = sums[:, some][whole]
        sums[:, some] = filled
        sums[~self.there] = np.nan
        return sums


def pixel_groups(
    labels: NDArray[Any],
    ids: NDArray[Any],
    settings: TraceSettings,
    template: NDArray[np.float32],
    dark: float,
) -> PixelGroups:
    """Return the groups of cells and annuli over the pixels that have numbers.

    Parameters
    ----------
    labels : (Y, X).
    ids : (n,) ascending labels.
    settings : width of the annuli.
    template : (Y * X,) NaN where the movie never has a number.
    dark : level without light.
    """
    from scipy import sparse

    flat, valid = labels.ravel(), np.isfinite(template)
    order = np.argsort(flat, kind="stable")
    starts, stops = (np.searchsorted(flat[order], ids, side) for side in ("left", "right"))
    groups = [order[a:b] for a, b in zip(starts, stops, strict=True)]
    groups += neuropil_masks(labels, ids, settings.inner, settings.outer)
    groups = [group[valid[group]] for group in groups]
    counts = np.array([len(group) for group in groups])
    rows = np.repeat(np.arange(len(groups)), counts)
    columns = np.concatenate(groups)
    with np.errstate(divide="ignore"):
        values = np.repeat((1.0 / counts).astype(np.float32), counts)
    means = sparse.csr_matrix((values, (rows, columns)), (len(groups), flat.size), dtype=np.float32)
    picture = np.nan_to_num(template).astype(np.float32)
    return PixelGroups(means, counts > 0, picture, np.asarray(means @ picture, np.float32), float(dark))
