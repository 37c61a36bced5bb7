"""Clicks and hovering on the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

STILL = 3.0  # screen pixels the mouse may move between press and release of a click


class CanvasClicks:
    """Tells which cell is clicked or hovered, while it is on.

    Parameters
    ----------
    viewer : whose canvas is listened to.
    layer : returns the Labels layer of the cells, or None.
    clicked : called with label value and event at a click without a drag (panning goes on working).
    hovered : called with the label value under the mouse, 0 off any cell.
    """

    def __init__(
        self,
        viewer: Any,
        layer: Callable[[], Any],
        clicked: Callable[[int, Any], None],
        hovered: Callable[[int], None],
    ) -> None:
        self.viewer = viewer
        self._layer, self._clicked, self._hovered = layer, clicked, hovered
        self._last = 0
        self.viewer.mouse_drag_callbacks.append(self._drag)
        self.viewer.mouse_move_callbacks.append(self._move)

    def close(self) -> None:
        """Stop listening."""
        for callbacks, mine in (
            (self.viewer.mouse_drag_callbacks, self._drag),
            (self.viewer.mouse_move_callbacks, self._move),
        ):
            if mine in callbacks:
                callbacks.remove(mine)

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        pressed = np.asarray(event.pos, float)
        if event.button != 1 or not self._may_click():
            return
        yield
        moved = 0.0
        while event.type == "mouse_move":
            moved = max(moved, float(np.abs(np.asarray(event.pos, float) - pressed).max()))
            yield
        if moved <= STILL:
            value = self._value(event)
            if value:
                self._clicked(value, event)

    def _move(self, viewer: Any, event: Any) -> None:
        value = self._value(event)
        if value != self._last:
            self._last = value
            self._hovered(value)

    def _may_click(self) -> bool:
        """A brush or another tool in hand keeps its clicks."""
        active = self.viewer.layers.selection.active
        return active is None or str(getattr(active, "mode", "pan_zoom")) in ("pan_zoom", "Mode.PAN_ZOOM")

    def _value(self, event: Any) -> int:
        layer = self._layer()
        if layer is None:
            return 0
        found = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=list(event.dims_displayed),
            world=True,
        )
        if isinstance(found, tuple):  # multiscale: level, value
            found = found[1]
        return int(found) if found is not None else 0
