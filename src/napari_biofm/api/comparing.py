"""Models compared on one image: how far their cells agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.images import AnyImage, channels_of_array, chosen_channels, is_stack_of
from napari_biofm.images.io.lazy import open_described
from napari_biofm.images.io.sources import Channel
from napari_biofm.images.segment.agreement import ModelComparison, compare_models
from napari_biofm.types import ImageError, ProgressListener, SegmentationParameters, run_task


def which_model(
    image: AnyImage,
    *,
    models: Sequence[str] | None = None,
    region: Sequence[int] | None = None,
    diameter: float | None = None,
    plane: int | None = None,
    axes: str | None = None,
    channel: Channel | None = None,
    second_channel: Channel | None = None,
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> ModelComparison:
    """Run the models that are here on an image, and tell how far their cells agree.

    Agreement is no truth (models that were trained alike fail alike); look at the outlines, too.

    Parameters
    ----------
    image : (Y, X), (Y, X, C), or a stack of which `plane` is taken; or the path of one.
    models : names of the catalogue; None takes all that find cells and are here without a download.
    region : part that is looked at, y0, x0, y1, x1 in pixels; None is all of it.
    diameter : mean cell diameter in pixels, told to all of them; None lets each estimate it.
    plane : of a stack, counted from 0; None is the middle one.
    axes, channel, second_channel, device, progress : as for `segment`.

    Returns
    -------
    ModelComparison
        The model that agrees most with the others comes first; `rows()` is the table.

    Raises
    ------
    ImageError
        If the image cannot be used, or the region lies off it.
    ModelError
        If no model gave a result.
    """
    pixels, names = plane_to_compare(image, region, plane, axes, chosen_channels(channel, second_channel))
    task = compare_models(pixels, SegmentationParameters(diameter), models, device, names)
    return run_task(task, progress)


def plane_to_compare(
    image: AnyImage,
    region: Sequence[int] | None = None,
    plane: int | None = None,
    axes: str | None = None,
    channels: Sequence[Channel] | None = None,
) -> tuple[NDArray[Any], Sequence[str] | None]:
    """Return the pixels that `which_model` looks at, (Y, X) or (Y, X, C), and the names of their channels.

    Parameters
    ----------
    image, region, plane, axes : as for `which_model`.
    channels : as for `describe_image`.

    Raises
    ------
    ImageError
        If there is no such plane, channel or region.
    """
    names: Sequence[str] | None = () if channels is None else None
    if isinstance(image, str | Path):
        opened = open_described(Path(image), axes, channels)
        pixels, stacked = opened.pixels, opened.is_stack
        names = opened.channels if channels is None else None
    else:
        stacked = is_stack_of(image, None)
        pixels = image if channels is None else channels_of_array(image, stacked, channels)
    if stacked:
        at = pixels.shape[0] // 2 if plane is None else plane
        if not 0 <= at < pixels.shape[0]:
            raise ImageError(f"plane {at} was asked for; the stack has 0 to {pixels.shape[0] - 1}.")
        index: tuple[Any, ...] = (at,)
    else:
        index = ()
    height, width = pixels.shape[len(index) : len(index) + 2]
    y0, x0, y1, x1 = (0, 0, height, width) if region is None else (int(v) for v in region)
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise ImageError(
            f"region {y0}, {x0}, {y1}, {x1} is no part of an image of {height} x {width} pixels."
        )
    return np.asarray(pixels[(*index, slice(y0, y1), slice(x0, x1))]), names
