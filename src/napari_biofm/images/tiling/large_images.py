"""Segmenting what does not fit into memory: a part is read, its labels go to the disk, the next is read.

A plane goes block by block (`blocks`), a time series or z-stack plane by plane, a large plane of it
again block by block; 3D flows go by blocks of all planes. Labels lie in a file that is mapped, not loaded, in a folder under the hash of
image, model and parameters: a run that was stopped goes on after the last part that was finished
and is whole, and one of two runs on the same image waits for the other.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.checks import NOT_FINITE
from napari_biofm.images.io.lazy import LARGE, LARGE_STACK, LazyImage
from napari_biofm.images.protocols import Limits, StackOptions, segments_stacks, takes_limits
from napari_biofm.images.tiling.blocks import (
    BLOCK,
    MARGIN,
    USUAL,
    block_boxes,
    limits_of_stack,
    segment_blocks,
)
from napari_biofm.images.tiling.labels_on_disk import LabelsOnDisk
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.images.tiling.stitching import names_from_below
from napari_biofm.types import (
    ImageError,
    Labels,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
    relay,
)

_WAIT_S = 0.2  # between two looks whether another run is done with an image
_HASH_ROWS = 1 << 24  # values read at once for the hash
_LEAST_SIDE = 128  # pixels of a block, however many planes a volume has


@dataclass(frozen=True)
class LargeResult:
    """Labels on disk; small enough to travel.

    Attributes
    ----------
    path : .npy file of int32 labels, (Y, X) or (Z, Y, X); map it with `labels()`.
    objects : how many.
    diameter : used, pixels, or None.
    provenance : as of a `Segmentation`.
    """

    path: Path
    objects: int
    diameter: float | None
    provenance: Mapping[str, Any]

    def labels(self) -> Labels:
        """Return the labels mapped from the disk; what is painted on them stays in memory."""
        found: Labels = np.load(self.path, mmap_mode="c", allow_pickle=False)
        return found


@dataclass(frozen=True)
class Parts:
    """How an image is cut.

    Attributes
    ----------
    planes : worked through one by one; 1 where a part goes through all planes.
    blocks : of each plane, or of the volume.
    side : of a block, pixels, without its margin.
    shape : (y, x) of the largest part that is in memory.
    """

    planes: int
    blocks: int
    side: int
    shape: tuple[int, int]

    def describe(self) -> str:
        """Return one sentence for a person."""
        planes = f"{self.planes} planes" if self.planes > 1 else ""
        blocks = f"{self.blocks} blocks of up to {self.side} px" if self.blocks > 1 else ""
        return (
            f"Large image: {' of '.join(p for p in (planes, blocks) if p)}, one at a time. "
            "Labels are kept on disk; a stopped run goes on where it was."
        )


def parts_of(image: LazyImage, stack: StackOptions | None = None) -> Parts:
    """Return how an image will be worked through."""
    height, width = image.shape[1:3] if image.is_stack else image.shape[:2]
    planes = len(image) if image.is_stack else 1
    side = BLOCK
    if stack is not None and stack.mode == "flows":
        side = max(_LEAST_SIDE, min(BLOCK, int((LARGE_STACK / 2 / planes) ** 0.5) - 2 * MARGIN))
        planes = 1
    elif height * width <= LARGE:
        return Parts(planes, 1, max(height, width), (height, width))
    blocks = len(list(block_boxes((height, width), side)))
    seen = side + 2 * MARGIN
    return Parts(planes, blocks, side, (min(height, seen), min(width, seen)))


def segment_large(
    segmenter: Segmenter,
    image: LazyImage,
    parameters: SegmentationParameters,
    stack: StackOptions | None = None,
    store: PassStore | None = None,
) -> Task[LargeResult]:
    """Segment an image of any size in bounded memory.

    Parameters
    ----------
    segmenter : any segmenter of planes.
    image : a plane, or a stack where `stack` is given.
    parameters : as for one image; `min_size` counts pixels of a plane.
    stack : how planes become objects; "flows" only with a segmenter that knows volumes.
    store : where the labels go; the cache by default.

    Raises
    ------
    ModelError
        For 3D flows with a model of planes.
    ImageError
        When image and `stack` do not fit, or the cache cannot be written.
    """
    if image.is_stack != (stack is not None):
        raise ImageError(f"an image of shape {image.shape} is {'' if image.is_stack else 'not '}a stack")
    flows = stack is not None and stack.mode == "flows"
    if flows and not segments_stacks(segmenter):
        raise ModelError(
            f"{segmenter.name} finds objects in planes only; join planes, or choose Cellpose-SAM for 3D flows"
        )
    shape = image.shape[:3] if image.is_stack else image.shape[:2]
    cut = parts_of(image, stack)
    parts = cut.planes if image.is_stack and not flows else cut.blocks
    about = {
        "model": segmenter.name,
        "sha256": segmenter.weights_sha256 or segmenter.name,
        "parameters": asdict(parameters),
        "stack": asdict(stack) if stack is not None else None,
        "block": cut.side,
    }
    key = yield from _key(image, about)
    store = store or PassStore()
    while True:
        with store.alone(key, parts, {**about, "shape": shape}) as kept:
            if kept is not None:
                log = LabelsOnDisk(kept, shape)
                if stack is None or flows:
                    sides = cut.side, MARGIN
                    yield from segment_blocks(
                        segmenter, image, parameters, log.labels, *sides, log, stack=stack
                    )
                else:
                    yield from _planes(segmenter, image, parameters, stack, log)
                path, objects = log.close()
                break
        yield Progress(0, 0, "another run works on this image; its result is waited for")
        time.sleep(_WAIT_S)
    provenance = {
        **log.provenance,
        "model": segmenter.name,
        "parameters": about["parameters"],
        "stack": about["stack"],
        "parts": parts,
    }
    return LargeResult(path, objects, log.diameter or parameters.diameter, provenance)


def _planes(
    segmenter: Segmenter,
    image: LazyImage,
    parameters: SegmentationParameters,
    stack: StackOptions,
    log: LabelsOnDisk,
) -> Task[None]:
    """Segment planes one by one; "stitch" joins each with the one before, on one scale of intensity."""
    joined = stack.mode == "stitch"
    percentiles = parameters.normalise or USUAL
    limits = limits_of_stack(image, *percentiles) if joined and takes_limits(segmenter) else None
    highest, diameter = log.highest, log.diameter
    for z in range(len(image)):
        if z not in log:
            chosen = replace(parameters, diameter=parameters.diameter or diameter)
            task = _plane(segmenter, np.asarray(image[z]), chosen, limits)
            result = yield from relay(task, z, len(image), f"plane {z + 1} of {len(image)}")
            found = result.masks
            diameter = diameter or (result.diameter if found.any() else None)
            names = np.zeros(int(found.max(initial=0)) + 1, np.int32)
            below = np.asarray(log.labels[z - 1]) if joined and z else None
            if below is not None and below.any() and len(names) > 1:
                names = names_from_below(found, below, stack.stitch_threshold)
            new = np.flatnonzero(names[1:] == 0) + 1
            names[new] = np.arange(highest + 1, highest + 1 + len(new))
            highest += len(new)
            log.labels[z] = names[found]
            log.finish(z, (slice(z, z + 1),), highest, diameter, result)
        yield Progress(z + 1, len(image), f"plane {z + 1} of {len(image)}: {highest} objects")


def _plane(
    segmenter: Segmenter, pixels: NDArray[Any], parameters: SegmentationParameters, limits: Limits | None
) -> Task[Segmentation]:
    """Return the segmentation of one plane with labels 1..n."""
    if pixels.shape[0] * pixels.shape[1] > LARGE:
        found = yield from segment_blocks(segmenter, pixels, parameters, None, BLOCK, MARGIN, limits=limits)
        return Segmentation(np.asarray(found), diameter=parameters.diameter)
    if takes_limits(segmenter):
        result = yield from segmenter.segment(pixels, parameters, limits=limits)
    else:
        result = yield from segmenter.segment(pixels, parameters)
    masks = np.searchsorted(np.union1d([0], result.masks), result.masks).astype(np.int32)
    return replace(result, masks=masks, flows=None, cell_prob=None, features=None)


def _key(image: LazyImage, about: Mapping[str, Any]) -> Task[str]:
    """Return the hash of image and parameters, read in pieces."""
    digest = hashlib.sha256(f"{image.dtype.str} {image.shape} {json.dumps(about, sort_keys=True)}".encode())
    step = max(1, _HASH_ROWS // int(np.prod(image.shape[1:], dtype=np.int64)))
    finite = image.dtype.kind != "f"
    for start in range(0, len(image), step):
        part = np.ascontiguousarray(image[start : start + step])
        finite = finite or bool(np.isfinite(part).any())
        digest.update(part.data)
        yield Progress(0, 0, f"reading the image, {100 * start // len(image)} %")
    if not finite:
        raise ImageError(NOT_FINITE.format("the image"))
    return digest.hexdigest()
