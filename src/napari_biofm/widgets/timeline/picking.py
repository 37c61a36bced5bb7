"""Choose cells by clicking them on the image."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari_biofm.widgets.timeline.state import TimelineState

MOVED = 4.0  # screen pixels: a press that travels further is a drag


def click_picker(state: TimelineState, active: Callable[[], bool]) -> Callable[..., Generator[None]]:
    """Return a viewer mouse callback: a click chooses the cell under it, with Shift it adds or takes away.

    Dragging stays what it was, and while a labels layer is being painted on nothing is chosen.

    Parameters
    ----------
    state : of the dock.
    active : whether picking is switched on.
    """

    def pick(viewer: Any, event: Any) -> Generator[None]:
        layer = viewer.layers.selection.active
        if not active() or event.button != 1 or str(getattr(layer, "mode", "pan_zoom")) != "pan_zoom":
            return
        start = event.pos
        yield
        while event.type == "mouse_move":
            if abs(event.pos[0] - start[0]) + abs(event.pos[1] - start[1]) > MOVED:
                return
            yield
        cell = state.cell_at(event.position, event.view_direction, event.dims_displayed)
        session = state.session
        if "Shift" in event.modifiers:
            if cell is not None:
                session.select(session.selection ^ {cell})
        else:
            session.select([] if cell is None else [cell])

    return pick
