"""Other movies of one clock at the second that is shown, whatever their rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.canvas.fast_drawing import redraw
from napari_biofm.controllers.common.layer_pixels import shown_step, spatial_placing
from napari_biofm.controllers.common.layers import OVERLAY, full_data, layer_id
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.in_step import KEPT, OtherMovies
from napari_biofm.timeline import Clock

LIKE = ("colormap", "gamma", "contrast_limits", "blending", "opacity", "interpolation2d")


class MoviesInStep:
    """A flat layer in place of each other movie, with the frame that its own clock gives for the session's time.

    napari has one slider for the frames of all layers, and shows frame i of each: of movies with other rates that is
    another second. The layers of the other movies are hidden meanwhile, and shown again when this is switched off.

    Parameters
    ----------
    viewer : napari viewer, gets the layers.
    controller : of the timeline.

    Attributes
    ----------
    on : whether other movies are shown in step.
    frames : frame that is shown of each other movie, by the id of its layer.
    """

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        self.viewer, self.controller = viewer, controller
        self.others = OtherMovies(controller, lambda: viewer.layers)
        self.on = False
        self.frames: dict[str, int] = {}
        self._layers: dict[str, Any] = {}  # flat layer by the id of its movie
        self._clocks: dict[str, tuple[Any, Clock]] = {}
        self._busy = False

    def show(self, on: bool) -> None:
        """Show other movies in step, or as napari does."""
        self.on = on
        for uid in [one for one in self._layers if not self._is_there(one)]:
            self._remove(uid)
        for layer in self.others.beside():
            layer.metadata[KEPT] = on
        self.refresh()

    def refresh(self) -> None:
        """Bring the flat layers up to date with movies, clocks and the movie in play."""
        if self._busy:  # adding a layer tells of layers
            return
        if any(not self._is_there(uid) for uid in self._layers):  # somebody took a flat layer away
            self.show(False)
            return
        self._busy = True
        try:
            wanted = {layer_id(layer): (layer, clock) for layer, clock in self._wanted()}
            for uid in [one for one in self._layers if one not in wanted]:
                self._remove(uid)
            self._clocks = wanted
            for uid, (layer, _) in wanted.items():
                if uid not in self._layers:
                    self._add(uid, layer)
        finally:
            self._busy = False
        self.time_moved(self.controller.session.time_s)

    def time_moved(self, seconds: float) -> None:
        """Show the frames of a second of the session."""
        for uid, (layer, clock) in self._clocks.items():
            flat, frame = self._layers.get(uid), clock.frame_at(seconds)
            if flat is None or frame == self.frames.get(uid):
                continue
            self.frames[uid] = frame
            flat.data[...] = self._picture(layer, frame)
            redraw(flat)

    def said(self) -> str:
        """Return in words which frame of each other movie is due now."""
        now = self.controller.session.time_s
        return "; ".join(self.others.said(layer, now) for layer in self.others.beside())

    def _wanted(self) -> list[tuple[Any, Clock]]:
        return self.others.in_step() if self.on and self.controller.movie is not None else []

    def _is_there(self, uid: str) -> bool:
        return self._layers[uid] in self.viewer.layers

    def _picture(self, layer: Any, frame: int) -> np.ndarray:
        data = full_data(layer)
        place = (min(frame, len(data) - 1), *shown_step(self.viewer, layer)[1:])
        return np.asarray(data[place])

    def _add(self, uid: str, layer: Any) -> None:
        clock = self._clocks[uid][1]
        frame = clock.frame_at(self.controller.session.time_s)
        layers, active = self.viewer.layers, self.viewer.layers.selection.active
        like = {name: getattr(layer, name) for name in LIKE}
        flat = self.viewer.add_image(
            self._picture(layer, frame).copy(),
            name=f"{layer.name} (in step)",
            rgb=bool(layer.rgb),
            metadata={OVERLAY: "in step"},
            **like,
            **spatial_placing(layer),
        )
        layers.move(layers.index(flat), layers.index(layer) + 1)
        layers.selection.active = active
        layer.visible, layer.metadata[KEPT] = False, True
        self._layers[uid], self.frames[uid] = flat, frame

    def _remove(self, uid: str) -> None:
        flat = self._layers.pop(uid)
        self.frames.pop(uid, None)
        self._clocks.pop(uid, None)
        if flat in self.viewer.layers:
            self.viewer.layers.remove(flat)
        movie = self.controller.layers.layer(uid)
        if movie is not None:
            movie.visible = True
