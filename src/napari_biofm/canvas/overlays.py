"""Activity and flashes of cells as one layer over the movie."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.canvas.fast_drawing import redraw
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.common.layers import OVERLAY
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import shown_frame
from napari_biofm.timeline import Clock

if TYPE_CHECKING:
    from napari_biofm.timeline.activity import CellLevels
    from napari_biofm.timeline.activity_overlay import ActivityOverlay

NAMES = {
    (True, False): "activity of cells",
    (False, True): "flashes of events",
    (True, True): "activity and flashes",
}


class Overlay:
    """A layer that belongs to the timeline: made when switched on, removed when switched off.

    Parameters
    ----------
    viewer : napari viewer, gets the layer.
    controller : of the timeline.
    """

    kind = ""

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        self.viewer = viewer
        self.controller = controller
        self.layer: Any | None = None

    @property
    def is_shown(self) -> bool:
        return self.layer is not None and self.layer in self.viewer.layers

    def add(self, data: Any, name: str, **options: Any) -> Any:
        """Put an image on top."""
        return self.put(self.viewer.add_image, data, name=name, **options)

    def put(self, make: Callable[..., Any], data: Any, **options: Any) -> Any:
        """Put a layer on top without taking the selection away from the one the user works on."""
        layers = self.viewer.layers
        active = layers.selection.active
        self.layer = make(data, metadata={OVERLAY: self.kind}, **options)
        layers.selection.active = active
        return self.layer

    def remove(self) -> None:
        """Take the layer away."""
        if self.is_shown:
            self.viewer.layers.remove(self.layer)
        self.layer = None


class ActivityLayer(Overlay):
    """Cells as bright as their traces, and lit up in the colour of their events.

    Both are one image of one byte per pixel: napari uploads and draws one layer, however much is shown. It
    is two-dimensional, so that napari has nothing to slice; it is painted when the frame changes.

    Attributes
    ----------
    levels : brightness of the cells, None while activity is not shown.
    flashing : whether events are shown.
    decay_s : time constant of flashes, seconds.
    """

    kind = "lights"

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        super().__init__(viewer, controller)
        self.decay_s = 0.3
        self.levels: CellLevels | None = None
        self.flashing = False
        self.overlay: ActivityOverlay | None = None
        self._made_of: tuple[Any, ...] = ()

    def refresh(self) -> str:
        """Bring the layer up to date with cells, clock, traces and events; return what is to be said."""
        if self.levels is None and not self.flashing:
            self.remove()
            return ""
        lacking, clock = self.controller.lacks(), self.controller.clock
        if lacking or clock is None:
            self.remove()
            return lacking
        overlay = self._activity_overlay(clock)
        overlay.clock, overlay.decay_s = clock, self.decay_s
        overlay.set_levels(self.levels)
        events = self.controller.events() if self.flashing else None
        overlay.set_events(events)
        overlay.show(shown_frame(self.viewer, self.controller.movie))
        self._put(overlay)
        said = []
        if self.levels is not None:
            here = int(np.isin(list(self.controller.centres()), self.levels.labels).sum())
            said.append(f"Activity of {here} of {overlay.n_cells} cells.")
        if events is not None:
            said.append(f"{len(events)} events flash." if len(events) else "No events of these cells yet.")
        return " ".join(said)

    def frame_moved(self, event: Any = None) -> None:
        """Paint the frame that is shown."""
        layer, movie = self.layer, self.controller.movie
        if self.overlay is None or layer is None or movie is None or not layer.visible or not self.is_shown:
            return
        if self.overlay.show(shown_frame(self.viewer, movie)):
            redraw(layer)

    def _activity_overlay(self, clock: Clock) -> ActivityOverlay:
        """Return the painter of the cells in play; made anew only when their pixels changed."""
        from napari_biofm.timeline.activity_overlay import ActivityOverlay

        of = (self.controller.labels_uid, self.controller.version)
        if self.overlay is None or self._made_of != of:
            self.overlay, self._made_of = ActivityOverlay(self.controller.label_plane(), clock), of
        return self.overlay

    def _put(self, overlay: ActivityOverlay) -> None:
        name = NAMES[self.levels is not None, self.flashing]
        if self.is_shown and self.layer is not None and self.layer.data.shape == overlay.image.shape:
            if self.layer.data is not overlay.image:
                self.layer.data = overlay.image
            self.layer.name = name
            self.layer.refresh(extent=False, highlight=False)
            return
        self.remove()
        layer = self.add(
            overlay.image,
            name,
            colormap={"colors": overlay.colours, "name": "activity and events", "interpolation": "zero"},
            blending="additive",
            contrast_limits=(0, 255),
            **spatial_placing(self.controller.labels),
        )
        layer.events.visible.connect(self.frame_moved)
