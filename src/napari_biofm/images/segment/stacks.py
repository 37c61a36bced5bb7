"""Masks of planes and of whole stacks, with whatever a segmenter can do; and the flows that are kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.channels import with_useful_channels
from napari_biofm.images.io.checks import check_finite, in_usual_size
from napari_biofm.images.left_out import SPECKS, merged, with_told
from napari_biofm.images.protocols import Box, StackOptions, begins_anywhere, segments_stacks
from napari_biofm.images.segment.careful import careful
from napari_biofm.images.segment.sizes import drop_specks
from napari_biofm.images.tiling.stitching import STITCH_IOU, numbered, stitch
from napari_biofm.types import (
    Image,
    ImageError,
    Labels,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
)

KEPT_VOXELS = 1 << 26  # of a stack whose flows are kept, 12 bytes each


def segment_pixels(
    segmenter: Segmenter,
    pixels: Image,
    parameters: SegmentationParameters,
    stack: StackOptions | None = None,
    viewport: Box | None = None,
    channels: Sequence[str] | None = (),
) -> Task[Segmentation]:
    """Segment an image or a stack in memory, the way the segmenter does it best.

    Parameters
    ----------
    segmenter : of any capabilities.
    pixels : (Y, X) or (Y, X, C); with a leading Z or T where `stack` is given.
    parameters : diameter (pixels) and thresholds.
    stack : how planes become objects; None for a single plane.
    viewport : part of a plane to begin with, y0, x0, y1, x1 in pixels.
    channels : names of the channels, where they are known; those that show nothing are left out. None: they were chosen
        by the user, and all are used.

    Returns
    -------
    Segmentation
        masks (Y, X), or (Z, Y, X) for a stack.

    Raises
    ------
    ModelError
        For 3D flows with a segmenter that knows single planes only.
    ImageError
        For an image without a finite value.
    """
    check_finite(pixels)
    pixels = in_usual_size(np.asarray(pixels))
    pixels, told = with_useful_channels(pixels, 2 + (stack is not None), channels)
    found = yield from _segment(careful(segmenter), pixels, parameters, stack, viewport)
    return replace(found, provenance=with_told(found.provenance, {}, told))


def _segment(
    segmenter: Segmenter,
    pixels: Image,
    parameters: SegmentationParameters,
    stack: StackOptions | None,
    viewport: Box | None,
) -> Task[Segmentation]:
    if stack is None:
        if begins_anywhere(segmenter):
            return (yield from segmenter.segment(pixels, parameters, viewport=viewport))
        return (yield from segmenter.segment(pixels, parameters))
    if segments_stacks(segmenter):
        options = stack.mode, stack.anisotropy, stack.stitch_threshold
        return (yield from segmenter.segment_stack(pixels, parameters, *options))
    if stack.mode == "flows":
        raise ModelError(
            "This model finds objects in planes only; choose the joined planes, or Cellpose-SAM for 3D flows."
        )
    if stack.mode == "stitch":
        return (yield from segment_stack(segmenter, pixels, parameters))
    return (yield from segment_series(segmenter, pixels, parameters))


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
    fixed = replace(parameters, diameter=diameter, relative_size=0.0)  # the tip of a cell is no speck
    for z in range(n):
        found = yield from segmenter.segment(stack[z], fixed)
        masks[z] = found.masks
        kept.put(z, found)
        provenance = merged(provenance, found.provenance)
        yield Progress(z + 1, n, f"plane {z + 1} of {n}")
    flows, cell_prob = kept.whole
    joined, dropped = drop_specks(stitch(masks), parameters.relative_size)
    told = with_told({**provenance, "stitch_iou": STITCH_IOU}, {SPECKS: dropped} if dropped else {}, ())
    return Segmentation(joined, flows, cell_prob, diameter=diameter, provenance=told)


def segment_series(
    segmenter: Segmenter, series: NDArray[Any], parameters: SegmentationParameters
) -> Task[Segmentation]:
    """Segment a time series (T, Y, X) or (T, Y, X, C) frame by frame; no object is joined to another's.

    Parameters
    ----------
    segmenter : any 2D segmenter.
    series : (T, Y, X) or (T, Y, X, C).
    parameters : as for one plane.
    """
    masks = np.zeros(series.shape[:3], np.int32)
    kept = PlaneFlows(series.shape[:3])
    for t, frame in enumerate(series):
        found = yield from segmenter.segment(frame, parameters)
        masks[t] = found.masks
        kept.put(t, found)
        yield Progress(t + 1, len(series), f"frame {t + 1} of {len(series)}")
    flows, cell_prob = kept.whole
    return Segmentation(
        numbered(masks), flows, cell_prob, diameter=found.diameter, provenance=found.provenance
    )


def masks_of_planes(
    segmentation: Segmentation,
    follow: Callable[[NDArray[np.float32], NDArray[np.float32]], Labels],
) -> Labels:
    """Make masks again from the flows of a plane or of planes, which are joined as they were.

    Parameters
    ----------
    segmentation : with flows (2, Y, X) or (2, Z, Y, X) and cell_prob (Y, X) or (Z, Y, X).
    follow : flows (2, Y, X) and cell_prob (Y, X) of a plane to its masks.

    Raises
    ------
    ImageError
        When the segmentation has no flows.
    """
    flows, cell_prob = segmentation.flows, segmentation.cell_prob
    if flows is None or cell_prob is None:
        raise ImageError("These masks were made without flows; segment again to change their thresholds.")
    if cell_prob.ndim == 2:
        return follow(flows, cell_prob)
    planes = np.stack([follow(flows[:, z], plane) for z, plane in enumerate(cell_prob)])
    return stitch(planes) if "stitch_iou" in segmentation.provenance else numbered(planes)


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
        """Keep what was found in one plane; a plane without flows ends the keeping.

        Parameters
        ----------
        index : of the plane.
        found : what was found in it.
        """
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
