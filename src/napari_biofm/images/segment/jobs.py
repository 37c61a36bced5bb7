"""What the Segment dock asks a worker to do: estimate, segment, make masks again, import weights.

Module-level functions of plain arguments, so that they travel to a worker process or a cluster.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.segment.catalogue import make_model
from napari_biofm.images.segment.match_ids import match_ids
from napari_biofm.images.tiling.large_images import LargeResult, parts_of, segment_large
from napari_biofm.images.tiling.stack_options import StackOptions
from napari_biofm.types import (
    Image,
    ImageError,
    Labels,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
)

Box = tuple[int, int, int, int]


def segment_job(
    pixels: Image,
    model: str,
    parameters: SegmentationParameters,
    device: str = "auto",
    stack: StackOptions | None = None,
    viewport: Box | None = None,
) -> Task[Segmentation]:
    """Segment an image or a stack; the first step tells time and memory where the model can predict them.

    Parameters
    ----------
    pixels : (Y, X), (Y, X, C), or with a leading Z or T where `stack` is given.
    model : as for `catalogue.make_model`.
    parameters : diameter and thresholds.
    device : "auto", "cpu", "cuda" or "mps".
    stack : how planes become objects; None for a single plane.
    viewport : part of the image to begin with, y0, x0, y1, x1.
    """
    yield Progress(0, 0, f"loading {model}")
    segmenter = make_model(model, device)
    keep_passes(segmenter)
    shape = pixels.shape[1:3] if stack is not None else pixels.shape[:2]
    told = estimate_of(segmenter, shape, parameters, len(pixels) if stack is not None else 1)
    if told:
        yield Progress(0, 0, told)
    result: Segmentation
    if stack is None:
        options = {"viewport": viewport} if _begins_anywhere(segmenter) else {}
        result = yield from segmenter.segment(pixels, parameters, **options)
        return result
    if hasattr(segmenter, "segment_stack"):
        result = yield from segmenter.segment_stack(
            pixels, parameters, stack.mode, stack.anisotropy, stack.stitch_threshold
        )
        return result
    result = yield from _plane_by_plane(segmenter, pixels, parameters, stack)
    return result


def segment_large_job(
    image: LazyImage,
    model: str,
    parameters: SegmentationParameters,
    device: str = "auto",
    stack: StackOptions | None = None,
) -> Task[LargeResult]:
    """Segment an image that is larger than memory; see `large_images.segment_large`."""
    yield Progress(0, 0, f"loading {model}")
    segmenter = make_model(model, device)
    keep_passes(segmenter)
    cut = parts_of(image, stack)
    flows = stack is not None and stack.mode == "flows"
    planes = sum(image.shape[:3]) if flows else cut.planes  # flows pass planes of three orientations
    told = estimate_of(segmenter, cut.shape, parameters, planes * cut.blocks)
    if told:
        yield Progress(0, 0, told)
    result = yield from segment_large(segmenter, image, parameters, stack)
    return result


def estimate_job(
    model: str, shape: tuple[int, int], planes: int, parameters: SegmentationParameters, device: str = "auto"
) -> str:
    """Return what a job will take, in a line for a person; empty where the model cannot say."""
    return estimate_of(make_model(model, device), shape, parameters, planes)


def estimate_of(
    segmenter: Any, shape: tuple[int, ...], parameters: SegmentationParameters, planes: int
) -> str:
    """Return the line of `estimate_job` for a model that is loaded."""
    if not hasattr(segmenter, "estimate"):
        return ""
    estimate = segmenter.estimate(shape, parameters, planes)
    warning = "" if estimate.fits else " - more than is free: close other programs or choose a smaller region"
    return f"{estimate.describe()}{warning}"


def remask_job(
    segmentation: Segmentation,
    parameters: SegmentationParameters,
    model: str,
    device: str = "auto",
) -> Labels:
    """Make the masks again with other thresholds, from flows that were kept; no network runs.

    Cells that are there already (in the masks of `segmentation`) keep their ids.

    Raises
    ------
    ImageError
        When the segmentation has no flows.
    """
    if segmentation.flows is None or segmentation.cell_prob is None:
        raise ImageError("This segmentation keeps no flows; run it with Cellpose-SAM or the embedded model.")
    masks = _masks_again(segmentation, parameters, make_model(model, device))
    return match_ids(segmentation.masks, masks)


def _masks_again(segmentation: Segmentation, parameters: SegmentationParameters, maker: Any) -> Labels:
    if hasattr(maker, "remask"):
        masks: Labels = maker.remask(segmentation, parameters).masks
        return masks
    from napari_biofm.images.segment.flows import masks_from_flows

    if segmentation.flows is None or segmentation.cell_prob is None:
        raise ImageError("These masks were made without flows; segment again to change their thresholds.")
    chosen, surety = replace(parameters, diameter=segmentation.diameter), 0.0
    if hasattr(maker, "calibrated"):
        chosen, surety = maker.calibrated(parameters, segmentation.diameter), maker.surety
    flows, cell_prob = segmentation.flows, segmentation.cell_prob
    if cell_prob.ndim == 2:
        return masks_from_flows(flows, cell_prob, chosen, surety)
    from napari_biofm.images.tiling.stitching import numbered, stitch

    planes = np.stack([masks_from_flows(flows[:, z], p, chosen, surety) for z, p in enumerate(cell_prob)])
    return stitch(planes) if "stitch_iou" in segmentation.provenance else numbered(planes)


def import_job(path: Path, name: str | None = None) -> str:
    """Take a user's weights into the folder of models and return the name they got."""
    from napari_biofm.models.store import import_model

    own = import_model(path, name)
    if own.family not in ("cellpose-sam", "sam", "mobile-sam"):
        raise ModelError(f"{path} was imported, but holds {own.family} weights, which cannot segment here.")
    return own.name


def keep_passes(segmenter: Any) -> None:
    """Let a model that can, keep its tiles on disk, so that a stopped job goes on where it was."""
    if getattr(segmenter, "store", False) is None:
        from napari_biofm.images.tiling.pass_store import PassStore

        segmenter.store = PassStore()


def _begins_anywhere(segmenter: Any) -> bool:
    import inspect

    return "viewport" in inspect.signature(segmenter.segment).parameters


def _plane_by_plane(
    segmenter: Any, pixels: NDArray[Any], parameters: SegmentationParameters, stack: StackOptions
) -> Task[Segmentation]:
    """Segment planes with a model that knows single planes only."""
    result: Segmentation
    if stack.mode == "flows":
        raise ModelError(
            "This model finds objects in planes only; choose the joined planes, or Cellpose-SAM for 3D flows."
        )
    if stack.mode == "stitch":
        from napari_biofm.images.segment.stacks import segment_stack

        result = yield from segment_stack(segmenter, pixels, parameters)
        return result
    from napari_biofm.images.segment.stacks import PlaneFlows

    masks = np.zeros(pixels.shape[:3], np.int32)
    kept, highest = PlaneFlows(pixels.shape[:3]), 0
    for t, frame in enumerate(pixels):
        result = yield from segmenter.segment(frame, parameters)
        masks[t] = np.where(result.masks > 0, result.masks + highest, 0)
        kept.put(t, result)
        highest = max(highest, int(masks[t].max()))
        yield Progress(t + 1, len(pixels), f"frame {t + 1} of {len(pixels)}")
    flows, cell_prob = kept.whole
    return Segmentation(masks, flows, cell_prob, diameter=result.diameter, provenance=result.provenance)
