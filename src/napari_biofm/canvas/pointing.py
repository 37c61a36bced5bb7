"""The event under the mouse, in the raster, on the image or on a trace: its frame and its cell show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_biofm.canvas.event_points import EventPoints
from napari_biofm.canvas.overlays import Overlay
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import shown_frame
from napari_biofm.session import Pointed

NAME = "event under the mouse"
RING = 1.6  # diameter of the ring, of that of a disc of the cell's area
COLOUR = "#ffffff"


class PointedEvent(Overlay):
    """Shows the event that the mouse is on, and brings the slider back when the mouse leaves it.

    Parameters
    ----------
    viewer, controller : see `Overlay`.
    tell : is told which event it is, "" when the mouse left.
    """

    kind = "pointed"

    def __init__(self, viewer: Any, controller: TimelineController, tell: Callable[[str], None]) -> None:
        super().__init__(viewer, controller)
        self._tell = tell
        self._before: float | None = None  # the session's time before the mouse came

    def show(self, event: Pointed | None) -> None:
        """Show an event, or what was there before the mouse came."""
        found = None if event is None else self._place(event)
        if found is None:
            self._leave()
            return
        label, seconds, kind = found
        session, clock, movie = self.controller.session, self.controller.clock, self.controller.movie
        frame = None if clock is None else clock.frame_at(seconds)
        self._ring(label)
        at = "" if frame is None else f", frame {frame}"
        self._tell(f"{kind} of cell {label} at {seconds:.3f} s{at}")
        if movie is None or frame == shown_frame(self.viewer, movie):
            return
        if self._before is None:
            self._before = session.time_s
        session.set_time(seconds)

    def keep(self) -> None:
        """Stay where the mouse is: the event was clicked."""
        self._before = None

    def _leave(self) -> None:
        if self.is_shown and self.layer is not None and self.layer.visible:
            self.layer.visible = False
        self._tell("")
        if self._before is not None:
            before, self._before = self._before, None
            self.controller.session.set_time(before)

    def _place(self, event: Pointed) -> tuple[int, float, str] | None:
        """Return cell, second and class of an event, None where it is of no cell in play."""
        events = self.controller.events()
        i = events.find(event.recording, event.row)
        if i is None or int(events.labels[i]) not in self.controller.centres():
            return None
        return int(events.labels[i]), float(events.seconds[i]), str(events.classes[i])

    def _ring(self, label: int) -> None:
        """Put the ring around a cell."""
        place = np.array([self.controller.centres()[label]])
        area = float(np.count_nonzero(self.controller.label_plane() == label))
        size = RING * 2 * np.sqrt(max(area, 1.0) / np.pi)
        if self.is_shown:
            layer: Any = self.layer
            layer.data = place
            layer.size = size
            layer.visible = True
            return
        layer = self.put(
            self.viewer.add_points,
            place,
            ndim=2,
            symbol="ring",
            size=size,
            face_color=COLOUR,
            border_width=0,
            opacity=0.8,
            name=NAME,
            **spatial_placing(self.controller.labels),
        )
        layer.editable = False


def event_pointer(
    controller: TimelineController, points: EventPoints, active: Callable[[], bool]
) -> Callable[..., None]:
    """Return a viewer mouse-move callback: the event whose point is under the mouse is pointed at.

    Parameters
    ----------
    controller : of the timeline.
    points : the layer of events.
    active : whether the dock is still there.
    """
    ours = False

    def move(_viewer: Any, event: Any) -> None:
        nonlocal ours
        if not active() or not points.on:
            return
        found = points.event_at(event.position)
        if found is not None:
            ours = True
            controller.session.point_at(Pointed(str(found["recording"]), int(found["row"])))
        elif ours:
            ours = False
            controller.session.point_at(None)

    return move
