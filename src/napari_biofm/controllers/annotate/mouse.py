"""Presses, drags and moves on the canvas, brought to the plane being edited."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.controllers.annotate.annotator import Annotator
from napari_biofm.controllers.annotate.tools import DRAGGED, Tool
from napari_biofm.controllers.common.layers import point_in
from napari_biofm.images.prompt.backends import FLOW_BASINS
from napari_biofm.types import BiofmError

CLICK = 4.0  # screen pixels a press may move and still be a click
CELL_TOOLS = frozenset({Tool.DELETE, Tool.MERGE, Tool.FILL, Tool.SMOOTH})  # work in a 3D view as well


class Mouse:
    """Listens to a viewer's mouse for an annotator.

    Parameters
    ----------
    annotator : gets the gestures.
    tell_error : shows what went wrong.
    """

    def __init__(self, annotator: Annotator, tell_error: Any) -> None:
        self._annotator = annotator
        self._tell_error = tell_error
        self.paused = False
        annotator.viewer.mouse_drag_callbacks.append(self._pressed)
        annotator.viewer.mouse_move_callbacks.append(self._moved)

    def stop(self) -> None:
        """Listen no longer."""
        viewer = self._annotator.viewer
        for callbacks, ours in (
            (viewer.mouse_drag_callbacks, self._pressed),
            (viewer.mouse_move_callbacks, self._moved),
        ):
            if ours in callbacks:
                callbacks.remove(ours)

    @property
    def is_on(self) -> bool:
        """Whether gestures are ours."""
        annotator = self._annotator
        return (
            not self.paused
            and annotator.tool not in (Tool.OFF, Tool.BRUSH)
            and annotator.labels is not None
            and annotator.labels in annotator.viewer.layers
        )

    def _pressed(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        if not self.is_on or event.button != 1:
            return
        shift = "Shift" in event.modifiers
        if viewer.dims.ndisplay == 3:
            yield from self._pressed_in_3d(event, shift)
            return
        annotator = self._annotator
        view = annotator.view
        start = np.asarray(event.pos, float)
        path = [self._point(event, view)]
        ours = annotator.tool in DRAGGED or self._joins_basins()
        camera = viewer.scene.camera
        pans = camera.mouse_pan
        moved = False
        try:
            if ours:
                camera.mouse_pan = False
            yield
            while event.type == "mouse_move":
                moved = moved or bool(np.linalg.norm(np.asarray(event.pos, float) - start) > CLICK)
                if moved and ours:
                    path.append(self._point(event, view))
                    self._guarded(annotator.gestures.drag, np.array(path), view)
                yield
        finally:
            if ours:
                camera.mouse_pan = pans
        if not moved:
            self._guarded(annotator.gestures.click, path[0], shift, view)
        elif ours:
            path.append(self._point(event, view))
            self._guarded(annotator.gestures.drop, np.array(path), shift, view)

    def _pressed_in_3d(self, event: Any, shift: bool) -> Generator[None, None, None]:
        """In a 3D view a click on a cell means the whole volume; prompts and lines need a plane."""
        annotator, layer = self._annotator, self._annotator.labels
        position, direction = event.position, event.view_direction
        start, displayed = np.asarray(event.pos, float), event.dims_displayed
        moved = False
        yield
        while event.type == "mouse_move":
            moved = moved or bool(np.linalg.norm(np.asarray(event.pos, float) - start) > CLICK)
            yield
        if moved:
            return
        if annotator.tool not in CELL_TOOLS:
            annotator.say("This tool needs a plane: switch the viewer to 2D.")
            return
        label = layer.get_value(position, view_direction=direction, dims_displayed=displayed, world=True)
        self._guarded(annotator.gestures.click, np.zeros(3), shift, annotator.view, int(label or 0))

    def _moved(self, viewer: Any, event: Any) -> None:
        if self.is_on and viewer.dims.ndisplay == 2:
            view = self._annotator.view
            self._guarded(self._annotator.gestures.hover, self._point(event, view), view)

    def _joins_basins(self) -> bool:
        return self._annotator.tool is Tool.POINT and self._annotator.predictor.backend == FLOW_BASINS

    def _point(self, event: Any, view: Any) -> NDArray[np.float64]:
        return point_in(self._annotator.labels, view, event.position)

    def _guarded(self, call: Any, *args: Any) -> None:
        try:
            call(*args)
        except BiofmError as error:
            self._annotator.say(str(error))
            self._tell_error(error)
