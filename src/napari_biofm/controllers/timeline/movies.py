"""What the timeline needs to know of a movie layer: its frames, its rate, its slider."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import shown_step
from napari_biofm.controllers.common.layers import is_helper, layer_by_id
from napari_biofm.timeline.metadata import frame_rate_of_file

SECONDS = {"second": 1.0, "s": 1.0, "millisecond": 1e-3, "ms": 1e-3, "minute": 60.0, "min": 60.0}


class ViewerLayersInPlay:
    """The layers of a napari viewer for the controller of the timeline.

    Parameters
    ----------
    viewer : whose sliders say which plane is shown.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer

    def layer(self, uid: str | None) -> Any | None:
        """Return a layer by its id, None where it is gone."""
        return layer_by_id(self._viewer, uid)

    def label_plane(self, uid: str) -> np.ndarray:
        """Return the (Y, X) labels that are shown."""
        layer: Any = self.layer(uid)
        data = layer.data[0] if layer.multiscale else layer.data
        return np.asarray(data if data.ndim == 2 else data[shown_step(self._viewer, layer)])

    def label_at(self, uid: str, position: Any, view_direction: Any, displayed: Any) -> int:
        """Return the label under a position of the canvas (world coordinates), 0 on background."""
        layer: Any = self.layer(uid)
        value = layer.get_value(position, view_direction=view_direction, dims_displayed=displayed, world=True)
        value = value[-1] if isinstance(value, tuple) else value
        return int(value or 0)


def is_movie(layer: Any) -> bool:
    """Return whether a layer is an image with an axis in front of its plane."""
    return type(layer).__name__ == "Image" and _ndim(layer) >= 3 and not is_helper(layer)


def n_frames(layer: Any) -> int:
    """Return the number of frames, along the layer's first axis."""
    data = layer.data[0] if layer.multiscale else layer.data
    return int(data.shape[0])


def frame_rate(layer: Any) -> float | None:
    """Return the frame rate in Hz that the layer or its file states, None where neither does."""
    stated = layer.metadata.get("frame_rate_hz")
    if stated:
        return float(stated)
    unit = SECONDS.get(str(layer.units[0]))
    if unit is not None and layer.scale[0] > 0:
        return float(1 / (layer.scale[0] * unit))
    path = layer.metadata.get("path") or layer.source.path
    return frame_rate_of_file(Path(path)) if path else None


def time_axis(viewer: Any, layer: Any) -> int:
    """Return the viewer's axis along which the frames of `layer` lie."""
    return int(viewer.dims.ndim - _ndim(layer))


def shown_frame(viewer: Any, layer: Any) -> int:
    """Return the frame the slider stands on."""
    origin, step = _world(layer)
    frame = round((viewer.dims.point[time_axis(viewer, layer)] - origin) / step)
    return int(min(max(frame, 0), n_frames(layer) - 1))


def show_frame(viewer: Any, layer: Any, frame: int) -> None:
    """Put the slider on a frame."""
    origin, step = _world(layer)
    viewer.dims.set_point(time_axis(viewer, layer), origin + frame * step)


_PLACES: weakref.WeakKeyDictionary[Any, tuple[Any, tuple[float, float]]] = weakref.WeakKeyDictionary()


def _world(layer: Any) -> tuple[float, float]:
    """Return where frame 0 lies on the viewer's axis, and how far frames are apart.

    napari composes its transforms anew at each call, which would be a good part of a slider step; the
    answer is kept until the layer is moved.
    """
    place = tuple(
        np.asarray(part).tobytes() for part in (layer.scale, layer.translate, layer.rotate, layer.shear)
    )
    place += (layer.affine.affine_matrix.tobytes(),)
    kept = _PLACES.get(layer)
    if kept is not None and kept[0] == place:
        return kept[1]
    zero = np.zeros(_ndim(layer))
    one = zero.copy()
    one[0] = 1
    origin = float(layer.data_to_world(zero)[0])
    answer = (origin, float(layer.data_to_world(one)[0]) - origin)
    _PLACES[layer] = (place, answer)
    return answer


def _ndim(layer: Any) -> int:
    return int(layer.ndim)
