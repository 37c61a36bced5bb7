"""Images larger than memory: block by block, with objects on the seams found once and whole.

Every block is segmented with a margin around it. A block gives the objects whose middle lies in it; one
that an earlier block gave already (most of its pixels are taken) is not given again. Blocks are read and
written one at a time, so that an OME-Zarr or Dask image of any size passes through bounded memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.protocols import Box, Limits, StackOptions, segments_stacks, takes_limits
from napari_biofm.types import (
    ImageError,
    Labels,
    LazyArray,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
    WritableArray,
    relay,
)

BLOCK = 2048
MARGIN = 128
_STEPS = 100  # of progress per block
_TAKEN = 0.5  # fraction of an object that is taken when an earlier block gave it
_SAMPLES = 1_000_000  # pixels looked at for the limits of intensity
USUAL = (1.0, 99.0)  # percentiles that become 0 and 1 in all parts of an image


class BlockLog(Protocol):
    """Remembers which blocks are done; see `labels_on_disk.LabelsOnDisk`."""

    highest: int
    diameter: float | None

    def __contains__(self, index: int) -> bool: ...

    def finish(
        self,
        index: int,
        window: tuple[slice, ...],
        highest: int,
        diameter: float | None,
        found: Segmentation,
    ) -> None: ...


def segment_blocks(
    segmenter: Segmenter,
    image: LazyArray,
    parameters: SegmentationParameters,
    out: WritableArray | None = None,
    block: int = BLOCK,
    margin: int = MARGIN,
    log: BlockLog | None = None,
    limits: Limits | None = None,
    stack: StackOptions | None = None,
) -> Task[WritableArray]:
    """Segment a plane or a volume of any size into `out`; blocks of a volume go through all of its planes.

    A diameter the segmenter estimates in the first block with cells is used for the blocks after it.

    Parameters
    ----------
    segmenter : any segmenter of planes; one that takes `limits` sees all blocks on one scale of intensity.
    image : (Y, X), (Y, X, C), with a leading Z where `stack` is given; any array-like that is read by slices.
    parameters : as for one image.
    out : (Y, X) or (Z, Y, X) integer array or zarr array to write to; a new int32 array by default.
    block : side of a block in pixels.
    margin : what a block sees around itself; at least the diameter of the largest object.
    log : of the blocks that are done; `out` has to be what they were written to.
    limits : intensities (C, 2) that become 0 and 1; taken from a sample of the image by default.
    stack : how planes of a volume become objects; the segmenter needs `segment_stack`.

    Returns
    -------
    `out`, with labels 1..n.

    Raises
    ------
    ImageError
        When the shapes do not fit.
    ModelError
        For a stack with a segmenter of single planes.
    """
    lead = 0 if stack is None else 1
    shape = tuple(int(n) for n in image.shape[: lead + 2])
    if out is None:
        out = np.zeros(shape, np.int32)
    if tuple(out.shape) != shape:
        raise ImageError(f"labels of shape {tuple(out.shape)} cannot hold those of an image of shape {shape}")
    scaled = stack is not None or takes_limits(segmenter)
    if scaled and limits is None:
        percentiles = parameters.normalise or USUAL
        limits = (limits_of if stack is None else limits_of_stack)(image, *percentiles)
    plane = shape[lead], shape[lead + 1]
    boxes = list(block_boxes(plane, block))
    highest, diameter = (0, parameters.diameter) if log is None else (log.highest, log.diameter)
    for number, core in enumerate(boxes):
        if log is not None and number in log:
            yield Progress((number + 1) * _STEPS, len(boxes) * _STEPS, f"block {number + 1} is kept")
            continue
        seen = _grown(core, margin, plane)
        window = (slice(None),) * lead + (slice(seen[0], seen[2]), slice(seen[1], seen[3]))
        pixels = np.asarray(image[window])
        chosen = replace(parameters, diameter=parameters.diameter or diameter)
        task = _part(segmenter, pixels, chosen, stack, limits)
        found = yield from relay(task, number, len(boxes), f"block {number + 1} of {len(boxes)}", _STEPS)
        if found.masks.any():
            diameter = diameter or found.diameter
        before = np.array(out[window])
        before[before > highest] = 0  # written by a run that was killed before it could say so
        after, highest = _add(before, found.masks, core, seen, highest, margin / 4)
        out[window] = after
        if log is not None:
            log.finish(number, window, highest, diameter, found)
        yield Progress((number + 1) * _STEPS, len(boxes) * _STEPS, f"{highest} objects")
    return out


def _part(
    segmenter: Segmenter,
    pixels: NDArray[Any],
    parameters: SegmentationParameters,
    stack: StackOptions | None,
    limits: Limits | None,
) -> Task[Segmentation]:
    """Return the job for one block."""
    if stack is not None:
        if not segments_stacks(segmenter):
            raise ModelError(f"{segmenter.name} finds objects in planes only; give it one plane at a time")
        return segmenter.segment_stack(pixels, parameters, **asdict(stack), limits=limits)
    if takes_limits(segmenter):
        return segmenter.segment(pixels, parameters, limits=limits)
    return segmenter.segment(pixels, parameters)


def block_boxes(shape: tuple[int, int], block: int) -> Iterator[Box]:
    """Yield blocks of about equal size, y0, x0, y1, x1, that cover an image without overlap."""
    edges = []
    for length in shape:
        count = max(1, math.ceil(length / block))
        edges.append([round(k * length / count) for k in range(count + 1)])
    for y0, y1 in zip(edges[0], edges[0][1:]):
        for x0, x1 in zip(edges[1], edges[1][1:]):
            yield y0, x0, y1, x1


def limits_of(image: LazyArray, low: float = USUAL[0], high: float = USUAL[1]) -> NDArray[np.float64]:
    """Return two percentiles of every channel, (C, 2), from a sample of rows of the whole image."""
    height, width = image.shape[:2]
    rows = max(1, min(height, _SAMPLES // max(1, width)))
    picked = np.unique(np.linspace(0, height - 1, rows).astype(int))
    sample = np.stack([np.asarray(image[int(row) : int(row) + 1])[0] for row in picked])
    flat = sample.reshape(-1, 1) if sample.ndim == 2 else sample.reshape(-1, sample.shape[-1])
    return np.nanpercentile(flat.astype(np.float64), (low, high), axis=0).T


def limits_of_stack(image: LazyArray, low: float = USUAL[0], high: float = USUAL[1]) -> NDArray[np.float64]:
    """Return the limits of intensity of a stack (Z, Y, X) or (Z, Y, X, C) from at most nine of its planes."""
    picked = np.unique(np.linspace(0, len(image) - 1, 9).astype(int))
    found: NDArray[np.float64] = np.mean(
        [limits_of(np.asarray(image[int(z)]), low, high) for z in picked], axis=0
    )
    return found


def _grown(box: Box, margin: int, shape: tuple[int, int]) -> Box:
    y0, x0, y1, x1 = box
    return max(0, y0 - margin), max(0, x0 - margin), min(shape[0], y1 + margin), min(shape[1], x1 + margin)


def _add(
    before: NDArray[Any], found: Labels, core: Box, seen: Box, highest: int, slack: float
) -> tuple[NDArray[Any], int]:
    """Write the objects of a block, by their middle in y and x, over what earlier blocks left free; return labels and highest label."""
    after = before.copy()
    low = np.array(core[:2]) - seen[:2] - slack
    high = np.array(core[2:]) - seen[:2] + slack
    for label, window in enumerate(scipy.ndimage.find_objects(found), 1):
        if window is None:
            continue
        mask = found[window] == label
        middle = np.argwhere(mask).mean(0)[-2:] + (window[-2].start, window[-1].start)
        if (middle < low).any() or (middle >= high).any():
            continue
        free = mask & (after[window] == 0)
        if free.sum() <= (1 - _TAKEN) * mask.sum():
            continue
        highest += 1
        after[window][free] = highest
    return after, highest
