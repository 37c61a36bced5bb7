"""What the timeline needs to know of a movie layer: its frames, its rate, its slider."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import shown_step
from napari_biofm.controllers.common.layers import full_data, layer_by_id
from napari_biofm.controllers.common.movie_layers import movie_parts, stated_rate

MOST_PLANES = 64  # of labels with a time axis that are looked at for where cells are


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

    def part(self, uid: str) -> str:
        """Return the channel or plane of a movie that is shown, "" where it has one."""
        layer: Any = self.layer(uid)
        return str(shown_step(self._viewer, layer)[1]) if movie_parts(layer) != [""] else ""

    def label_planes(self, uid: str) -> Iterator[np.ndarray]:
        """Give planes (Y, X) of labels with a time axis, some of very many; the one that is shown last."""
        layer: Any = self.layer(uid)
        data = full_data(layer)
        if data.ndim == 3:
            for frame in np.unique(np.linspace(0, len(data) - 1, min(len(data), MOST_PLANES)).astype(int)):
                yield np.asarray(data[int(frame)])
        yield self.label_plane(uid)

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


def n_frames(layer: Any) -> int:
    """Return the number of frames, along the layer's first axis."""
    data = layer.data[0] if layer.multiscale else layer.data
    return int(data.shape[0])


def frame_rate(layer: Any) -> float | None:
    """Return the frame rate in Hz that the layer or its file states, None where neither does."""
    return stated_rate(layer)


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
