"""Masks of whole stacks plane by plane, and the flows that are kept of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.tiling.stitching import STITCH_IOU, stitch
from napari_biofm.types import Progress, Segmentation, SegmentationParameters, Segmenter, Task

KEPT_VOXELS = 1 << 26  # of a stack whose flows are kept, 12 bytes each


def segment_stack(
    segmenter: Segmenter, stack: NDArray[Any], parameters: SegmentationParameters
) -> Task[Segmentation]:
    """Segment plane by plane and join objects that overlap from plane to plane.

    The diameter estimated on the middle plane is used for all, so that scale does not flicker.

    Parameters
    ----------
    segmenter : any 2D segmenter.
    stack : (Z, Y, X) or (Z, Y, X, C).
    parameters : as for one plane.

    Returns
    -------
    Segmentation
        masks (Z, Y, X), flows (2, Z, Y, X) and cell_prob (Z, Y, X) where the segmenter has them and they fit;
        features are not kept for stacks.
    """
    n = len(stack)
    masks = np.zeros(stack.shape[:3], np.int32)
    kept = PlaneFlows(stack.shape[:3])
    provenance: dict[str, Any] = {}
    middle = yield from segmenter.segment(stack[n // 2], parameters)
    diameter = parameters.diameter or middle.diameter
    fixed = SegmentationParameters(
        diameter, parameters.flow_threshold, parameters.cellprob_threshold, parameters.min_size
    )
    for z in range(n):
        found = yield from segmenter.segment(stack[z], fixed)
        masks[z] = found.masks
        kept.put(z, found)
        provenance = dict(found.provenance)
        yield Progress(z + 1, n, f"plane {z + 1} of {n}")
    flows, cell_prob = kept.whole
    return Segmentation(
        stitch(masks),
        flows,
        cell_prob,
        diameter=diameter,
        provenance={**provenance, "stitch_iou": STITCH_IOU},
    )


class PlaneFlows:
    """Collects the flows of planes that are segmented one by one, for flow basins and new thresholds.

    Parameters
    ----------
    shape : (Z, Y, X); larger stacks than `KEPT_VOXELS` keep nothing.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = tuple(shape)
        self._whole: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._complete = int(np.prod(shape, dtype=np.int64)) <= KEPT_VOXELS

    def put(self, index: int, found: Segmentation) -> None:
        """Keep what was found in one plane; a plane without flows ends the keeping."""
        if found.flows is None or found.cell_prob is None:
            self._complete, self._whole = False, None
        if not self._complete or found.flows is None or found.cell_prob is None:
            return
        if self._whole is None:
            self._whole = np.zeros((2, *self._shape), np.float32), np.zeros(self._shape, np.float32)
        self._whole[0][:, index], self._whole[1][index] = found.flows, found.cell_prob

    @property
    def whole(self) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Flows (2, Z, Y, X) and cell probability (Z, Y, X), or None twice."""
        return (None, None) if self._whole is None else self._whole
