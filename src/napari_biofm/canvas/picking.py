"""Choose cells by clicking them on the image."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from napari_biofm.canvas.event_points import EventPoints
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.session import CellKey
from napari_biofm.timeline.cell_positions import cells_inside

MOVED = 4.0  # screen pixels: a press that travels further is a drag


def click_picker(
    controller: TimelineController, points: EventPoints, active: Callable[[], bool]
) -> Callable[..., Generator[None]]:
    """Return a viewer mouse callback: a click chooses the cell under it, with Shift it adds or takes away.

    A click on the point of an event goes to the moment of the event as well.

    With Alt held, a drag is a lasso: the cells whose centre lies inside are chosen. Any other dragging stays
    what it was, and while a labels layer is being painted on nothing is chosen.

    Parameters
    ----------
    controller : of the timeline.
    points : the layer of events.
    active : whether picking is switched on.
    """

    def pick(viewer: Any, event: Any) -> Generator[None]:
        layer = viewer.layers.selection.active
        if not active() or event.button != 1 or str(getattr(layer, "mode", "pan_zoom")) != "pan_zoom":
            return
        if "Alt" in event.modifiers:
            yield from _lasso(controller, viewer, event)
            return
        start = event.pos
        yield
        while event.type == "mouse_move":
            if abs(event.pos[0] - start[0]) + abs(event.pos[1] - start[1]) > MOVED:
                return
            yield
        cell = controller.cell_at(event.position, event.view_direction, event.dims_displayed)
        session = controller.session
        found = points.event_at(event.position)
        if found is not None:
            cell = CellKey(str(controller.labels_uid), int(found["label"]))
            session.point_at(None)
            session.set_time(float(found["time_s"]))
        if "Shift" in event.modifiers:
            if cell is not None:
                session.select(session.selection ^ {cell})
        else:
            session.select([] if cell is None else [cell])

    return pick


def _lasso(controller: TimelineController, viewer: Any, event: Any) -> Generator[None]:
    """Follow the mouse while the camera is held, then choose the cells inside the path."""
    camera = getattr(viewer, "scene", viewer).camera
    panned, camera.mouse_pan = camera.mouse_pan, False
    path = [event.position]
    try:
        yield
        while event.type == "mouse_move":
            path.append(event.position)
            yield
    finally:
        camera.mouse_pan = panned
    controller.session.select(cells_in(controller, np.asarray(path)))


def cells_in(controller: TimelineController, path: np.ndarray) -> set[CellKey]:
    """Return the cells whose centre lies inside a closed path.

    Parameters
    ----------
    controller : of the timeline.
    path : (n, ndim) world coordinates; the last two are y and x.
    """
    layer = controller.labels
    if layer is None:
        return set()
    corners = np.array([layer.world_to_data(point)[-2:] for point in path])
    return {CellKey(str(controller.labels_uid), n) for n in cells_inside(controller.centres(), corners)}
