"""The tables of cells of a viewer follow its masks, whichever docks are open."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_biofm.controllers.common.layers import full_data, is_helper, layer_by_id, layer_id
from napari_biofm.controllers.common.reader_layers import pixel_size_of
from napari_biofm.session import Session
from napari_biofm.teaching.cell_tables import CellTables
from napari_biofm.teaching.pixels import Plane, Region
from napari_biofm.widgets.common.event_loop import EventLoopTask
from napari_biofm.widgets.common.qt_parts import timer

PAUSE = 500  # ms without an edit before the cells it touched are measured again
# with the Qt object that holds their timers
_TABLES: weakref.WeakKeyDictionary[Session, tuple[CellTables, QObject]] = weakref.WeakKeyDictionary()


def cell_tables(viewer: Any, session: Session) -> CellTables:
    """Return what keeps the tables of a session in step with the masks of its viewer, making it at the first call."""
    if session not in _TABLES:
        home = QObject()
        pause = timer(home, PAUSE)
        task = EventLoopTask(home)
        pixels = LayerPixels(getattr(viewer, "__wrapped__", viewer))
        tables = CellTables(session, pixels, pause.start, task.start)
        _TABLES[session] = tables, home
        pause.timeout.connect(tables.flush)
        session.closed.connect(lambda: _stop(session, pause, task))
    return _TABLES[session][0]


def _stop(session: Session, pause: QTimer, task: EventLoopTask) -> None:
    _TABLES.pop(session, None)
    with contextlib.suppress(RuntimeError):  # Qt ended first
        pause.stop()
        task.stop()


class LayerPixels:
    """Layers of a viewer as `CellPixels`.

    Parameters
    ----------
    viewer : the viewer itself, no proxy; it is not kept alive.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)

    def labels(self, uid: str) -> Any | None:
        """See `CellPixels`."""
        layer = layer_by_id(self._viewer(), uid)
        return None if layer is None else full_data(layer)

    def name(self, uid: str) -> str:
        """See `CellPixels`."""
        layer = layer_by_id(self._viewer(), uid)
        return "" if layer is None else str(layer.name)

    def plane_in_view(self, uid: str) -> Plane:
        """Return nothing for a flat layer or a volume seen in 3D; else the position along its leading axes."""
        viewer = self._viewer()
        layer = None if viewer is None else layer_by_id(viewer, uid)
        if viewer is None or layer is None or layer.ndim <= 2 or viewer.dims.ndisplay == 3:
            return ()
        return _index(layer, np.asarray(layer.world_to_data(viewer.dims.point)), 2)

    def is_movie(self, uid: str) -> bool:
        """See `CellPixels`; axis labels and units say so, nothing is guessed from numbers."""
        layer = layer_by_id(self._viewer(), uid)
        if layer is None or layer.ndim <= 2:
            return False
        timed = {"s", "second", "ms", "millisecond", "minute", "min", "hour", "h", "us", "microsecond"}
        return str(layer.axis_labels[0]).lower() in ("t", "time", "frame") or str(layer.units[0]) in timed

    def pixel_size(self, uid: str, n_axes: int) -> tuple[float, ...] | None:
        """See `CellPixels`."""
        layer = layer_by_id(self._viewer(), uid)
        return None if layer is None else pixel_size_of(self._viewer(), layer, n_axes)

    def images(self, uid: str, plane: Plane) -> dict[str, Region]:
        """See `CellPixels`; the plane of an image is the one that lies where the plane of the labels lies."""
        viewer = self._viewer()
        labels = None if viewer is None else layer_by_id(viewer, uid)
        if viewer is None or labels is None:
            return {}
        shape = Region(full_data(labels), plane).shape
        found = {}
        for layer in reversed(list(viewer.layers)):
            if type(layer).__name__ == "Image" and not is_helper(layer):
                n_spatial = len(shape) + int(layer.rgb)
                at = _facing(labels, layer, plane) if full_data(layer).ndim > n_spatial else ()
                region = Region(full_data(layer), at)
                if region.shape[: len(shape)] == shape:
                    found[layer_id(layer)] = region
        return found


def _facing(labels: Any, image: Any, plane: Plane) -> Plane:
    """Return the plane of an image where a plane of labels lies."""
    point = np.zeros(labels.ndim)
    point[: len(plane)] = plane
    world = np.asarray(labels.data_to_world(point))
    padded = np.concatenate([np.zeros(max(0, image.ndim - labels.ndim)), world])[-image.ndim :]
    return _index(image, np.asarray(image.world_to_data(padded)), labels.ndim - len(plane))


def _index(layer: Any, point: Any, n_spatial: int) -> Plane:
    leading = layer.ndim - n_spatial
    at = np.round(point[:leading]).astype(int)
    last = np.asarray(full_data(layer).shape[:leading]) - 1
    return tuple(int(i) for i in np.clip(at, 0, last))
