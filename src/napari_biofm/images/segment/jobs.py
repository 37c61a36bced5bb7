"""What the Segment dock asks a worker to do: estimate, segment, make masks again, import weights.

Module-level functions of plain arguments, so that they travel to a worker process or a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_biofm.images.io.channels import SIDE, useful_channels
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.left_out import with_told
from napari_biofm.images.protocols import Box, StackOptions, estimates, keeps_passes, remasks
from napari_biofm.images.segment.careful import careful
from napari_biofm.images.segment.catalogue import capabilities_of_family, make_segmenter
from napari_biofm.images.segment.match_ids import match_ids
from napari_biofm.images.segment.sizes import drop_specks
from napari_biofm.images.segment.stacks import masks_of_planes, segment_pixels
from napari_biofm.images.tiling.large_images import LargeResult, parts_of, segment_large
from napari_biofm.types import (
    Image,
    ImageError,
    Labels,
    Model,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
)


def segment_job(
    pixels: Image,
    model: str,
    parameters: SegmentationParameters,
    device: str = "auto",
    stack: StackOptions | None = None,
    viewport: Box | None = None,
    channels: Sequence[str] | None = (),
) -> Task[Segmentation]:
    """Segment an image or a stack; the first step tells time and memory where the model can predict them.

    Parameters
    ----------
    pixels : (Y, X), (Y, X, C), or with a leading Z or T where `stack` is given.
    model : as for `catalogue.make_segmenter`.
    parameters : diameter and thresholds.
    device : "auto", "cpu", "cuda" or "mps".
    stack : how planes become objects; None for a single plane.
    viewport : part of the image to begin with, y0, x0, y1, x1.
    channels : as for `stacks.segment_pixels`.
    """
    yield Progress(0, 0, f"loading {model}")
    segmenter = careful(make_segmenter(model, device))
    keep_passes(segmenter)
    shape = pixels.shape[1:3] if stack is not None else pixels.shape[:2]
    told = estimate_of(segmenter, shape, parameters, len(pixels) if stack is not None else 1)
    if told:
        yield Progress(0, 0, told)
    return (yield from segment_pixels(segmenter, pixels, parameters, stack, viewport, channels))


def segment_large_job(
    image: LazyImage,
    model: str,
    parameters: SegmentationParameters,
    device: str = "auto",
    stack: StackOptions | None = None,
) -> Task[LargeResult]:
    """Segment an image that is larger than memory; see `large_images.segment_large`.

    Parameters
    ----------
    image : (Y, X), (Y, X, C), or with a leading Z or T where `stack` is given.
    model, parameters, device, stack : as for `segment_job`.
    """
    yield Progress(0, 0, f"loading {model}")
    segmenter = careful(make_segmenter(model, device))
    keep_passes(segmenter)
    cut = parts_of(image, stack)
    flows = stack is not None and stack.mode == "flows"
    planes = sum(image.shape[:3]) if flows else cut.planes  # flows pass planes of three orientations
    told = estimate_of(segmenter, cut.shape, parameters, planes * cut.blocks)
    if told:
        yield Progress(0, 0, told)
    image, notes = useful_part(image)
    result = yield from segment_large(segmenter, image, parameters, stack)
    return replace(result, provenance=with_told(result.provenance, {}, notes))


def useful_part(image: LazyImage, channels: Sequence[str] | None = ()) -> tuple[LazyImage, list[str]]:
    """Return a large image with the channels that show something in its middle, and what was left out, in words.

    Parameters
    ----------
    image : as for `segment_large_job`.
    channels : as for `stacks.segment_pixels`.
    """
    spatial = 2 + image.is_stack
    if channels is None or image.ndim == spatial:
        return image, []
    middle = [slice(max(0, n // 2 - SIDE), n // 2 + SIDE) for n in image.shape[spatial - 2 : spatial]]
    index = (image.shape[0] // 2, *middle) if image.is_stack else tuple(middle)
    choice = useful_channels(image[index], channels)
    told = choice.describe(channels)
    return (image.with_channels(choice.kept), [told]) if told else (image, [])


def estimate_job(
    model: str, shape: tuple[int, int], planes: int, parameters: SegmentationParameters, device: str = "auto"
) -> str:
    """Return what a job will take, in a line for a person; empty where the model cannot say.

    Parameters
    ----------
    model : as for `segment_job`.
    shape : (Y, X) of a plane, pixels.
    planes : how many.
    parameters : the diameter counts.
    device : as for `segment_job`.
    """
    return estimate_of(make_segmenter(model, device), shape, parameters, planes)


def estimate_of(model: Model, shape: tuple[int, ...], parameters: SegmentationParameters, planes: int) -> str:
    """Return the line of `estimate_job` for a model that is loaded.

    Parameters
    ----------
    model : of any capabilities.
    shape, parameters, planes : as for `estimate_job`.
    """
    if not estimates(model):
        return ""
    estimate = model.estimate(shape, parameters, planes)
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

    Parameters
    ----------
    segmentation : with flows.
    parameters : the new thresholds.
    model, device : as for `segment_job`; the model that made the flows.

    Raises
    ------
    ImageError
        When the segmentation has no flows.
    """
    if segmentation.flows is None or segmentation.cell_prob is None:
        raise ImageError("This segmentation keeps no flows; run it with Cellpose-SAM or the embedded model.")
    masks = masks_again(careful(make_segmenter(model, device)), segmentation, parameters)
    return match_ids(segmentation.masks, masks)


def masks_again(model: Model, segmentation: Segmentation, parameters: SegmentationParameters) -> Labels:
    """Return masks with other thresholds from flows that were kept, by the model's own recipe where it has one.

    Parameters
    ----------
    model : that made the flows.
    segmentation : with flows (2, Y, X) or (2, Z, Y, X) and cell_prob.
    parameters : the new thresholds.
    """
    if remasks(model):
        return model.remask(segmentation, parameters).masks
    from napari_biofm.images.segment.flows import masks_from_flows

    chosen = replace(parameters, diameter=segmentation.diameter)
    masks = masks_of_planes(segmentation, lambda flows, cell_prob: masks_from_flows(flows, cell_prob, chosen))
    return drop_specks(masks, parameters.relative_size)[0]


def import_job(path: Path, name: str | None = None) -> str:
    """Take a user's weights into the folder of models and return the name they got.

    Parameters
    ----------
    path : of the weights.
    name : to give them; the stem of the file by default.
    """
    from napari_biofm.models.store import import_model

    own = import_model(path, name)
    if not capabilities_of_family(own.family).segments:
        raise ModelError(f"{path} was imported, but holds {own.family} weights, which cannot segment here.")
    return own.name


def keep_passes(model: Model) -> None:
    """Let a model that can, keep its tiles on disk, so that a stopped job goes on where it was.

    Parameters
    ----------
    model : of any capabilities.
    """
    if keeps_passes(model):
        model.keep_passes()
