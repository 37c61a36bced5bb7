"""Slider and time, in step both ways, without an echo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.controllers.timeline.movies import show_frame, shown_frame, time_axis
from napari_biofm.session import Session


class SliderSync:
    """Moves the session's time with the viewer's slider and the slider with the time.

    A time inside the frame that is shown already moves nothing, so that a cursor dragged within one
    frame costs a lookup only, and keeps its place when the slider answers.

    Parameters
    ----------
    viewer : napari viewer.
    session : of the viewer.
    movie : returns the movie layer that the slider stands for, or None.
    """

    def __init__(self, viewer: Any, session: Session, movie: Callable[[], Any | None]) -> None:
        self.viewer = viewer
        self.session = session
        self.movie = movie
        self._busy = False

    def slider_moved(self, event: Any = None) -> None:
        """Bring the session's time to the frame that is shown."""
        layer = self._layer()
        if self._busy or layer is None:
            return
        clock = self.session.clock(layer_id(layer))
        if clock is None:
            return
        frame = shown_frame(self.viewer, layer)
        if clock.frame_at(self.session.time_s) == frame and clock.covers([self.session.time_s])[0]:
            return
        self._busy = True
        try:
            self.session.set_time(clock.time_of(frame))
        finally:
            self._busy = False

    def time_moved(self, seconds: float) -> None:
        """Bring the slider to the frame of `seconds`; before or after the movie, to its first or last."""
        layer = self._layer()
        if self._busy or layer is None:
            return
        clock = self.session.clock(layer_id(layer))
        if clock is None:
            return
        frame = clock.frame_at(seconds)
        if frame == shown_frame(self.viewer, layer):
            return
        self._busy = True
        try:
            show_frame(self.viewer, layer, frame)
        finally:
            self._busy = False

    def _layer(self) -> Any | None:
        """Return the movie, unless its frames are on no slider."""
        layer = self.movie()
        if layer is None or time_axis(self.viewer, layer) in self.viewer.dims.displayed:
            return None
        return layer
