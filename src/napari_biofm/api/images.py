"""Images: read them, segment them, compare models on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.lazy import LazyImage, OpenedImage, open_described, read_stack
from napari_biofm.images.io.masks import read_labels
from napari_biofm.images.io.sources import Channel, position_of
from napari_biofm.images.left_out import with_told
from napari_biofm.images.protocols import StackOptions
from napari_biofm.images.segment.careful import careful
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, make_segmenter
from napari_biofm.images.segment.jobs import keep_passes, useful_part
from napari_biofm.images.segment.stacks import segment_pixels
from napari_biofm.images.tiling.large_images import LargeResult, segment_large
from napari_biofm.types import (
    ImageError,
    Labels,
    ProgressListener,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
    as_percentiles,
    run_task,
)

AnyImage = NDArray[Any] | LazyImage | str | Path


def read_image(path: str | Path, axes: str | None = None) -> NDArray[Any]:
    """Read an image or a stack from TIFF, PNG, JPEG, BMP, NumPy or OME-Zarr.

    Of several images in a file the largest is read; palettes become colours, alpha is left out.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.
    axes : letters of TZCYXS, one an axis, where the file does not name them or names them wrongly.

    Returns
    -------
    (Y, X), (Y, X, C), (Z, Y, X) or (Z, Y, X, C) array; a leading time axis stands in the place of Z.

    Raises
    ------
    ImageError
        If the file is missing, damaged, or of another kind.
    """
    return read_stack(Path(path), axes)[0]


def read_masks(path: str | Path, shape: Sequence[int] | None = None) -> Labels:
    """Read a label image.

    Parameters
    ----------
    path : the file.
    shape : of the image the labels belong to; checked where it is given.

    Returns
    -------
    int32 labels, 0 is background; int64 where an id is 2^31 or above.

    Raises
    ------
    ImageError
        If the values are no whole numbers, or the shape is another one.
    """
    return read_labels(Path(path), shape)


def open_image(path: str | Path) -> tuple[NDArray[Any] | LazyImage, bool]:
    """Open an image: read where it is small, left on the disk where it is large.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.

    Returns
    -------
    image : array, or `LazyImage` of what should be worked through in parts.
    is_stack : whether its first axis is Z or time.
    """
    opened = open_described(Path(path))
    return opened.pixels, opened.is_stack


def describe_image(
    path: str | Path, axes: str | None = None, channels: Sequence[Channel] | None = None
) -> OpenedImage:
    """Open an image with the names of its channels and what should be known of how it was read.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.
    axes : letters of TZCYXS, one an axis, where the file does not name them or names them wrongly.
    channels : which channels, by position from 0 or by name; all of them by default.

    Returns
    -------
    OpenedImage
        pixels, is_stack, channels, notes. Large images stay on the disk.

    Raises
    ------
    ImageError
        If the file cannot be read, or has no such axes or channels.
    """
    return open_described(Path(path), axes, channels)


def segment(
    image: AnyImage,
    *,
    model: str = DEFAULT_MODEL,
    diameter: float | None = None,
    flow_threshold: float = 0.4,
    cellprob_threshold: float = 0.0,
    min_size: int = 15,
    relative_size: float = 0.05,
    least_contrast: float = 8.0,
    normalise: Sequence[float] | None = None,
    is_stack: bool | None = None,
    axes: str | None = None,
    channel: Channel | None = None,
    second_channel: Channel | None = None,
    projection: int | str | None = None,
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> Segmentation:
    """Find the cells of an image.

    Parameters
    ----------
    image : (Y, X), (Y, X, C), (Z, Y, X) or (Z, Y, X, C), or the path of one. Large files are worked through in parts.
    model : name of the catalogue (`napari-biofm models list`), or the path of weights.
    diameter : mean cell diameter in pixels; None lets the model estimate it.
    flow_threshold : largest mean squared flow error a mask may have; 0 keeps all.
    cellprob_threshold : logit above which a pixel belongs to a cell.
    min_size : smallest object kept, in pixels.
    relative_size : smallest object kept, as a share of the image's usual object; 0 keeps specks.
    least_contrast : how far an object has to stand above its ground, in units of what the ground itself varies by over
        patches of its size; noise reaches 7. 0 keeps all.
    normalise : percentiles (low, high) of the intensities of each channel that become 0 and 1 for the model, e.g. (1, 99);
        None leaves it to the model.
    is_stack : whether the first axis of an array is Z or time; None decides by the number of axes (3 axes are a
        stack unless the last has at most 16 entries). For a file its own axes decide.
    axes : of a file: letters of TZCYXS, one an axis, where it does not name them or names them wrongly.
    channel : the channel to segment, by position from 0 or, in a file that names them, by name; None takes all.
    second_channel : one more, e.g. nuclei beside the cells.
    projection : of a movie or stack, what is segmented in its place: "mean", "variation", "correlation" or "peak" over the
        first axis, or the number of a plane or frame, counted from 0.
    device : "auto", "cpu", "cuda" or "mps".
    progress : called with each step.

    Returns
    -------
    Segmentation
        Its `masks` are int32 labels of the image's spatial shape, on disk for large images.

    Raises
    ------
    ImageError
        If the image cannot be used.
    ModelError
        If there is no such model, or its weights are missing or damaged.

    Notes
    -----
    Flows follow Stringer et al., Nature Methods 18:100 (2021).
    """
    given = None if normalise is None else as_percentiles(normalise)
    parameters = SegmentationParameters(
        diameter, flow_threshold, cellprob_threshold, min_size, relative_size, least_contrast, given
    )
    channels = chosen_channels(channel, second_channel)
    if isinstance(image, str | Path):
        opened = open_described(Path(image), axes, channels)
        pixels, stacked = opened.pixels, opened.is_stack
        names = opened.channels if channels is None else None
    else:
        stacked = is_stack_of(image, is_stack)
        pixels = image if channels is None else channels_of_array(image, stacked, channels)
        names = () if channels is None else None
    if projection is not None:
        title = Path(image).name if isinstance(image, str | Path) else "the image"
        pixels, stacked = picture_of(pixels, stacked, projection, title), False
    result = segment_opened(
        pixels, stacked, parameters, channels=names, model=model, device=device, progress=progress
    )
    if isinstance(result, LargeResult):
        return Segmentation(result.labels(), diameter=result.diameter, provenance=dict(result.provenance))
    return result


def picture_of(
    image: NDArray[Any] | LazyImage, is_stack: bool, what: int | str, title: str = "the image"
) -> NDArray[Any]:
    """Return one picture of a movie or stack.

    Parameters
    ----------
    image : (N, Y, X) or (N, Y, X, C).
    is_stack : whether it has that first axis.
    what : "mean", "variation", "correlation" or "peak" over it, or the number of a plane or frame, counted from 0.
    title : of the image, for messages.

    Raises
    ------
    ImageError
        If it is neither movie nor stack, or has no such picture.
    """
    from napari_biofm.images.io.projections import PROJECTIONS
    from napari_biofm.images.io.projections import projection as projected

    if not is_stack:
        raise ImageError(f"{title}: is no movie or stack; leave projection and plane out.")
    if isinstance(what, str) and what not in PROJECTIONS:
        raise ImageError(
            f"{title}: has no picture {what!r}; there are {', '.join(PROJECTIONS)}, and planes by number."
        )
    if isinstance(what, str):
        return projected(image, PROJECTIONS[what], 3 if image.ndim > 3 else 2)
    if not 0 <= what < image.shape[0]:
        raise ImageError(f"{title}: has no plane {what}; there are 0 to {image.shape[0] - 1}.")
    return np.asarray(image[what])


def segment_opened(
    image: NDArray[Any] | LazyImage,
    is_stack: bool,
    parameters: SegmentationParameters,
    *,
    channels: Sequence[str] | None = (),
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> Segmentation | LargeResult:
    """Segment what `open_image` gave; the labels of a large image stay on the disk.

    Parameters
    ----------
    image : (Y, X), (Y, X, C), or with a leading Z or T.
    is_stack : whether it has a leading Z or T.
    parameters : diameter (pixels) and thresholds.
    channels : names of the channels, where they are known; those that show nothing are left out. None: they were chosen
        by the user, and all are used.
    model : name of the catalogue, or the path of weights.
    device : "auto", "cpu", "cuda" or "mps".
    progress : called with each step.
    """
    task = segment_task(make_segmenter(model, device), image, is_stack, parameters, channels)
    return run_task(task, progress)


def segment_task(
    segmenter: Segmenter,
    image: NDArray[Any] | LazyImage,
    is_stack: bool,
    parameters: SegmentationParameters,
    channels: Sequence[str] | None = (),
) -> Task[Segmentation | LargeResult]:
    """Return the job for a plane, a stack or a large image; a model with a way of its own for stacks goes that way.

    Parameters
    ----------
    segmenter : see `images.segment.catalogue.make_segmenter`.
    image, is_stack, parameters, channels : as for `segment_opened`.
    """
    stack = StackOptions() if is_stack else None
    if isinstance(image, LazyImage):
        keep_passes(segmenter)
        image, told = useful_part(image, channels)
        result = yield from segment_large(careful(segmenter), image, parameters, stack)
        return replace(result, provenance=with_told(result.provenance, {}, told))
    return (yield from segment_pixels(segmenter, image, parameters, stack, channels=channels))


def chosen_channels(channel: Channel | None, second: Channel | None) -> list[Channel] | None:
    """Return the channels that were asked for; None for all of them.

    Parameters
    ----------
    channel, second : as for `segment`.

    Raises
    ------
    ImageError
        For a second channel without a first.
    """
    if channel is None and second is not None:
        raise ImageError(f"a second channel ({second}) was chosen without a first; choose the channel, too.")
    return None if channel is None else [c for c in (channel, second) if c is not None]


def channels_of_array(
    image: NDArray[Any] | LazyImage, stacked: bool, channels: Sequence[Channel]
) -> NDArray[Any]:
    """Return some channels of an array.

    Parameters
    ----------
    image : (Y, X, C), or (Z, Y, X, C).
    stacked : whether its first axis is Z or time.
    channels : by position from 0 or by name.
    """
    array = np.asarray(image[:])
    if array.ndim == 2 + stacked:
        array = array[..., None]
    names = [f"channel {k}" for k in range(array.shape[-1])]
    wanted = array[..., [position_of(c, names) for c in channels]]
    return wanted[..., 0] if len(channels) == 1 else wanted


def is_stack_of(image: NDArray[Any] | LazyImage, told: bool | None) -> bool:
    """Return whether the first axis of an image is Z or time.

    Parameters
    ----------
    image : array, or a `LazyImage`, which knows it.
    told : by the user; None decides by the number of axes.
    """
    if isinstance(image, LazyImage):
        return image.is_stack
    array = np.asarray(image)
    if told is not None:
        return told
    return array.ndim == 4 or (array.ndim == 3 and array.shape[-1] > 16)
