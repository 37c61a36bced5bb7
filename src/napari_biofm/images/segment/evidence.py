"""Is what was found there at all? Objects against what the background of their own image does without any cell.

A network sees an image stretched to its own contrast, so that the noise of an empty field looks like faint cells. Here
every object is measured on the intensities as they were recorded: how far its mean stands above a ring of background around
it, or its texture above that of all background, or a line around it (`outlines`), in units of what patches of background of the same size differ from their surroundings. Noise, blurred
or not, reaches 3 to 7 of these units where a network picked the best of a field; on 5,000 annotated cells of DSB 2018,
99.5 % exceed 10 (`benchmarks/empty.py`, `training/image/REPORT.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.segment.outlines import outline_contrast
from napari_biofm.types import Image, Labels

Float = NDArray[np.float64]
NO_CELL = np.float32(-20.0)  # a logit that no threshold lets through
GAP = 2.0  # pixels around objects that are neither object nor background
RING = (4.0, 40.0)  # least and most pixels a ring of background is wide
FAR = 4.0  # pixels, least blur of what patches of background are held against, as rings do not begin at an object's edge
DOUBTFUL = 16.0  # contrast under which an object may be the brightest of noise
COARSEST = (
    0.15  # grey levels of an integer image: what is less is rounding, as on a background that is clipped to 0
)
# texture of noise reaches 4 units, of cells in phase contrast (Usiigaci) it has at least 5; this brings both onto one scale
TEXTURE = 1.7
SAME_TEXTURE = 0.02  # natural logarithm of the variance; a background without noise would differ by less
FEW_PATCHES = 4.0  # of background of an object's size, under which their spread is not known
MOST_OF_IT, LARGE_FIELD = (
    0.5,
    256,
)  # what fills half of a field of so many pixels, and leaves too little ground, is shading
MOST_CHANNELS = 3
# An object wider than this (pixels) has an edge: of its contrast at least this share is made within a quarter of its
# radius. Light from out of focus has none (0.1 to 0.3; 99 % of annotated cells of this size exceed 0.42).
WIDE, EDGE = 60.0, 0.35


@dataclass(frozen=True)
class Evidence:
    """What stands behind every object; arrays (n + 1,), index = label, 0 for labels that are not there.

    Attributes
    ----------
    contrast : mean against a ring of background, in units of the background's own spread; infinite where there is too little
        background to tell.
    texture : texture against that of all background, on the same scale; 0 where it was not looked for.
    edge : share of the contrast that is made at the edge.
    diameter : of a disc of the same area, pixels.
    outline : height of a bright closed line around it; 0 where it was not looked for.
    """

    contrast: Float
    texture: Float
    edge: Float
    diameter: Float
    outline: Float

    def real(self, least_contrast: float) -> NDArray[np.bool_]:
        """Return which objects are there.

        Parameters
        ----------
        least_contrast : in units of the background's own spread.
        """
        sharp = (self.diameter <= WIDE) | (self.edge >= EDGE)
        filled = (self.contrast >= least_contrast) & sharp
        return np.asarray(filled | (self.texture >= least_contrast) | (self.outline >= least_contrast))


def measure_evidence(image: Image, masks: Labels, enough: float = np.inf) -> Evidence:
    """Measure the evidence for every object of a plane.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) intensities as they were recorded; of more than three channels the first three count.
    masks : (Y, X) labels.
    enough : contrast from which no more is looked for: further channels, texture and outline only where an object has less.

    Returns
    -------
    Evidence
        Its arrays have the length of the largest label plus one.
    """
    around = _Surroundings(masks)
    stored = np.atleast_3d(np.asarray(image))[..., :MOST_CHANNELS]
    planes = [_finite(stored[..., k]) for k in range(stored.shape[-1])]
    least = COARSEST * (stored.dtype.kind in "biu")
    nothing = np.zeros(around.n)
    found = Evidence(nothing, nothing, nothing, around.diameter, nothing)
    for plane in planes:
        found = replace(found, edge=np.maximum(found.edge, around.edge(plane)))
    for plane in planes:
        if not found.real(enough)[around.area > 0].all():
            found = replace(found, contrast=np.maximum(found.contrast, around.contrast(plane, least)))
    for plane in planes:
        if not found.real(enough)[around.area > 0].all():
            texture = TEXTURE * around.contrast(_texture(plane), SAME_TEXTURE, local=False)
            found = replace(found, texture=np.maximum(found.texture, texture))
    for plane in planes:
        doubtful = np.flatnonzero(~found.real(enough) & (around.area > 0))
        if len(doubtful):
            line = outline_contrast(plane, around.labels, doubtful, least)
            found = replace(found, outline=np.maximum(found.outline, line))
    return found


def _finite(plane: NDArray[Any]) -> NDArray[np.float32]:
    values = plane.astype(np.float32)
    if plane.dtype.kind == "f":
        good = np.isfinite(values)
        if not good.all():
            values[~good] = np.median(values[good]) if good.any() else 0
    return values


def _texture(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log of the variance within some pixels, by which cells in phase contrast stand out."""
    fine = plane - scipy.ndimage.gaussian_filter(plane, 2.0)
    power = scipy.ndimage.gaussian_filter(fine * fine, 1.0)
    finest = 1e-3 * float(np.median(power)) + 1e-6 * float(power.max())
    return np.asarray(np.log(power + max(finest, 1e-12)), np.float32)


class _Surroundings:
    """Objects of a plane with their rings and the background between them."""

    def __init__(self, masks: Labels) -> None:
        self.labels = np.asarray(masks)
        self.n = int(self.labels.max(initial=0)) + 1
        self.area = np.bincount(self.labels.ravel(), minlength=self.n).astype(np.float64)
        self.area[0] = 0
        self.diameter = np.sqrt(self.area * 4 / np.pi)
        outside = self.labels == 0
        if outside.all() or not outside.any():
            self.distance = np.zeros(self.labels.shape)
            self.nearest = self.labels
        else:
            self.distance, index = scipy.ndimage.distance_transform_edt(outside, return_indices=True)
            self.nearest = self.labels[tuple(index)]
        wide = np.clip(0.4 * self.diameter, *RING)[self.nearest]
        self.ring = outside & (self.distance > GAP) & (self.distance <= GAP + wide)
        self.ground = outside & (self.distance > GAP + 1)
        self._ring_pixels = self._count(self.ring, self.nearest)

    def _count(self, where: Any, labels: Any) -> Float:
        return np.bincount(labels[where], minlength=self.n).astype(np.float64)

    def _mean(self, plane: Any, where: Any, labels: Any) -> Float:
        total = np.bincount(labels[where], plane[where], self.n)
        return np.asarray(total / np.maximum(self._count(where, labels), 1))

    def contrast(self, plane: NDArray[np.float32], floor: float, local: bool = True) -> Float:
        """Mean of every object against its ring over the spread of patches of background of its size; (n,).

        Not `local`: against all background, whose spread is then that of the patches themselves.
        """
        inside = self._mean(plane, self.labels > 0, self.labels)
        ring = self._mean(plane, self.ring, self.nearest)
        level = float(np.median(plane[self.ground])) if self.ground.any() else np.nan
        against = np.where(local & (self._ring_pixels > 0.3 * self.area), ring, level)
        difference = np.abs(inside - against)
        blur = np.round(
            0.5 * np.log2(np.maximum(self.area, 1) / (4 * np.pi))
        )  # a Gaussian of the same area, octaves
        result = np.full(self.n, np.inf)
        ground = self.ground
        weak = np.ones(self.n, bool)
        for _ in range(2):
            for octave in np.unique(blur[(self.area > 0) & weak]):
                spread = self._spread(plane, ground, float(2.0**octave), local)
                if spread is not None:
                    these = (blur == octave) & np.isfinite(difference) & weak
                    result[these] = np.minimum(result[these], difference[these] / max(spread, floor, 1e-9))
            weak = (result < DOUBTFUL) | np.isinf(result)
            if not local or 2 * (weak & (self.area > 0)).sum() <= (self.area > 0).sum():
                break
            # where most may be noise, it was taken from among the ground, which without it varies too little
            strong = (result >= DOUBTFUL)[self.nearest] & (self.distance <= GAP + 1)
            ground = ~strong
        filling = (self.area > MOST_OF_IT * self.labels.size) & (min(self.labels.shape) >= LARGE_FIELD)
        result[(self.area == 0) | (np.isinf(result) & filling)] = 0
        return self._with_neighbours(result)

    def _with_neighbours(self, contrast: Float) -> Float:
        """Let objects that others surround have the best contrast of those they touch: they have no ring to be held against."""
        inner = (self._ring_pixels < self.area) & (self.area > 0)
        if not inner.any() or np.isinf(contrast[inner]).all():
            return contrast
        clumps, n = scipy.ndimage.label(self.labels > 0, np.ones((3, 3)))
        known = np.where(np.isinf(contrast), 0, contrast)[self.labels]
        best = np.asarray(scipy.ndimage.maximum(known, clumps, np.arange(n + 1)))
        clump = np.zeros(self.n, np.int64)
        clump[self.labels.ravel()] = clumps.ravel()
        return np.where(inner, np.maximum(contrast, best[clump]), contrast)

    def _spread(self, plane: NDArray[np.float32], ground: Any, sigma: float, local: bool) -> float | None:
        """Robust standard deviation of background, blurred by `sigma`, of `local` ones less the same blurred by more; None
        where there is too little of it.
        """
        step = max(1, int(sigma // 2))
        far = max(2.5 * sigma, FAR) if local else None
        found = _response(plane - np.float32(plane.mean()), ground, sigma, far, step)
        if found.size < max(20, FEW_PATCHES * 4 * np.pi * sigma**2 / step**2):
            return None
        return float(1.4826 * np.median(np.abs(found - np.median(found))))

    def edge(self, plane: NDArray[np.float32]) -> Float:
        """Contrast within a quarter of the radius of the edge over that of the middle against farther away; (n,)."""
        result = np.ones(self.n)
        wide = np.flatnonzero(self.diameter > WIDE)
        if not len(wide):
            return result
        within = np.isin(self.labels, wide)
        depth = scipy.ndimage.distance_transform_edt(np.pad(within, 1, mode="edge"))[1:-1, 1:-1]
        band = np.maximum(2, self.diameter / 8)
        here, there = band[self.labels], band[self.nearest]
        rim = within & (depth <= here)
        near = (self.labels == 0) & (self.distance <= there)
        far = (self.labels == 0) & (self.distance > 2 * there) & (self.distance <= 4 * there)
        at_edge = self._mean(plane, rim, self.labels) - self._mean(plane, near, self.nearest)
        beyond = self._mean(plane, far, self.nearest)
        if self.ground.any():  # an object that fills the image has little around it
            beyond = np.where(self._count(far, self.nearest) > 0, beyond, float(plane[self.ground].mean()))
        whole = self._mean(plane, within & ~rim, self.labels) - beyond
        known = self._count(near, self.nearest) > 0
        share = np.abs(at_edge) / np.maximum(np.abs(whole), 1e-9)
        return np.where(known & (self.diameter > WIDE), share, result)


def _binned(array: NDArray[Any], step: int) -> NDArray[np.float32]:
    if step == 1:
        return np.asarray(array, np.float32)
    height, width = (n // step * step for n in array.shape)
    blocks = array[:height, :width].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def _response(plane: Any, ground: Any, sigma: float, far: float | None, step: int) -> NDArray[np.float32]:
    """Return what ground blurred by `sigma` is, less ground blurred by `far`, where there is ground; in steps of pixels."""
    weight = _binned(ground.astype(np.float32), step)
    value = _binned(np.where(ground, plane, 0), step)
    near, held = _blurred(value, weight, sigma / step)
    usable = (held > 0.45) & (weight > 0.5)
    if far is not None:
        near = near - _blurred(value, weight, far / step)[0]
    return np.asarray(near[usable])


def _blurred(value: Any, weight: Any, sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blur what has weight only; returns the blurred values and how much of the kernel had weight."""
    held = scipy.ndimage.gaussian_filter(weight, sigma, mode="constant")
    return scipy.ndimage.gaussian_filter(value, sigma, mode="constant") / np.maximum(held, 1e-6), held


def suppressed(
    cell_prob: NDArray[np.float32], masks: Labels, kept: Labels, reach: float
) -> NDArray[np.float32]:
    """Return cell probabilities in which what is no cell stays none, at whatever threshold masks are made again.

    Parameters
    ----------
    cell_prob : (Y, X) logits.
    masks : (Y, X) labels of all that was found.
    kept : (Y, X) labels of what is there.
    reach : pixels around an object that is none, as far as no cell is nearer.
    """
    gone = (masks > 0) & (kept == 0)
    if not gone.any():
        return cell_prob
    if not kept.any():
        return np.minimum(cell_prob, NO_CELL)
    to_gone = scipy.ndimage.distance_transform_edt(~gone)
    near = (to_gone <= reach) & (to_gone < scipy.ndimage.distance_transform_edt(kept == 0))
    return np.where(near, np.minimum(cell_prob, NO_CELL), cell_prob).astype(np.float32)
