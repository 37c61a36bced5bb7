"""Channels of what the Segment dock segments: those along the first axis of a layer, and other layers of the same field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import SHOWN, plane_of
from napari_biofm.controllers.common.layers import full_data
from napari_biofm.controllers.common.reader_layers import channel_names_of
from napari_biofm.controllers.segment.pixels import plane_shape
from napari_biofm.images.io.sources import source_of
from napari_biofm.images.tiling.large_images import LargeResult
from napari_biofm.types import BiofmError, ImageError, Segmentation

NONE = "none"
_MOST = 16  # entries of an axis that may be channels


@dataclass(frozen=True)
class Channels:
    """Which channels are meant.

    Attributes
    ----------
    first : position along the first axis of the layer; None for what the plane shows.
    second : position along the first axis, or another Image layer; None for no second channel.
    """

    first: int | None = None
    second: Any = None


def channel_names(layer: Any) -> list[str]:
    """Return the names of the channels along the first axis of a layer; none where that axis is no channels.

    They come from the file of the layer (OME, ImageJ, LSM, OME-Zarr), from what its reader left in its metadata, else from
    the name of the axis.

    Parameters
    ----------
    layer : Image layer, or None.
    """
    if layer is None or layer.rgb:
        return []
    shape = full_data(layer).shape
    if len(shape) != 3 or not 2 <= shape[0] <= _MOST:
        return []
    path = getattr(layer.source, "path", None)
    names: list[str] = []
    if path and Path(path).exists():
        try:
            source = source_of(Path(path))
            axes = source.axes or ""
            if "C" in axes and int(source.array.shape[axes.index("C")]) == shape[0]:
                names = list(source.names) or [f"channel {k}" for k in range(shape[0])]
        except (BiofmError, OSError, ValueError, KeyError):
            names = []  # of a file that another plugin reads
    names = names or channel_names_of(layer, shape[0])
    if not names and str(layer.axis_labels[0]).lower() in ("c", "channel", "channels"):
        names = [f"channel {k}" for k in range(shape[0])]
    return names


def other_layers(images: Iterable[Any], layer: Any) -> list[Any]:
    """Return the Image layers that may be a second channel of one: of one colour, with planes of the same shape.

    Parameters
    ----------
    images : Image layers to choose from.
    layer : the first channel's Image layer, or None.
    """
    if layer is None or layer.rgb:
        return []
    shape = plane_shape(layer)
    return [other for other in images if other is not layer and not other.rgb and plane_shape(other) == shape]


def channel_pixels(viewer: Any, layer: Any, choice: str, channels: Channels) -> Any:
    """Return the plane of the channels that are meant: (Y, X), or (Y, X, 2) with a second one.

    Parameters
    ----------
    viewer : whose sliders say which plane is shown.
    layer : Image layer.
    choice : which of its pixels, as for `layer_pixels.plane_of`.
    channels : which channels.

    Raises
    ------
    ImageError
        If the second channel has another shape than the first.
    """
    data = full_data(layer)
    first = plane_of(viewer, layer, choice) if channels.first is None else np.asarray(data[channels.first])
    if channels.second is None:
        return first
    if isinstance(channels.second, int):
        second = np.asarray(data[channels.second])
    else:
        second = plane_of(viewer, channels.second, choice if channels.first is None else SHOWN)
    if second.shape != first.shape:
        raise ImageError(
            f"the second channel has shape {second.shape}, the first {first.shape}; choose a channel of the same field."
        )
    return np.stack([first, second], -1)


def with_channels(
    result: Segmentation | LargeResult, layer: Any, channels: Channels
) -> Segmentation | LargeResult:
    """Return a result whose provenance names the channels that were chosen.

    Parameters
    ----------
    result : of a segmentation.
    layer : Image layer it was made of.
    channels : which of its channels were meant.
    """
    if channels == Channels():
        return result
    names = channel_names(layer)
    first = layer.name if channels.first is None else names[channels.first]
    second = channels.second
    used = [first] if second is None else [first, names[second] if isinstance(second, int) else second.name]
    return replace(result, provenance={**result.provenance, "channels": used})
