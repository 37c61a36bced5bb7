"""The activity image and the flashes of events as layers over the movie."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.timeline.activity import ActivityMovie, CellLevels
from napari_biofm.timeline.flashes import FlashImage
from napari_biofm.widgets.pixels import spatial_placing
from napari_biofm.widgets.timeline.movies import shown_frame
from napari_biofm.widgets.timeline.points import movie_placing
from napari_biofm.widgets.timeline.state import TimelineState


class Overlay:
    """A layer that belongs to the timeline: made when switched on, removed when switched off.

    Parameters
    ----------
    state : of the dock.
    """

    kind = ""

    def __init__(self, state: TimelineState) -> None:
        self.state = state
        self.layer: Any | None = None
        self.on = False

    @property
    def is_shown(self) -> bool:
        return self.layer is not None and self.layer in self.state.viewer.layers

    def add(self, data: Any, name: str, **options: Any) -> Any:
        """Put a layer on top without taking the selection away from the one the user works on."""
        viewer = self.state.viewer
        active = viewer.layers.selection.active
        self.layer = viewer.add_image(data, name=name, metadata={"biofm_overlay": self.kind}, **options)
        viewer.layers.selection.active = active
        return self.layer

    def remove(self) -> None:
        """Take the layer away."""
        if self.is_shown:
            self.state.viewer.layers.remove(self.layer)
        self.layer = None

    def lacks(self) -> str:
        """Return what is missing before anything can be shown, "" where nothing is."""
        if self.state.movie is None:
            return "Open a movie (an image with a time axis) first."
        if self.state.labels is None:
            return "Choose the labels layer with the cells."
        if self.state.clock is None:
            return "The movie has no clock yet: press Align."
        return ""


class ActivityOverlay(Overlay):
    """Cells as bright as their traces; napari slices it itself, always in step with the slider."""

    kind = "activity"

    def show(self, levels: CellLevels) -> str:
        """Lay the activity over the movie."""
        self.remove()
        movie, labels = self.state.movie, self.state.labels
        data = ActivityMovie(self.state.label_plane(), levels)
        self.add(
            data,
            f"{movie.name} activity" if movie is not None else "activity",
            colormap="inferno",
            blending="additive",
            contrast_limits=(0, 255),
            **movie_placing(movie, labels),
        )
        here = np.isin(list(self.state.centres()), levels.labels).sum()
        return f"Activity of {here} of {len(self.state.centres())} cells."


class FlashOverlay(Overlay):
    """Cells light up at their events and fade, in the colour of the event's class."""

    kind = "flashes"

    def __init__(self, state: TimelineState) -> None:
        super().__init__(state)
        self.decay_s = 0.3
        self.flashes: FlashImage | None = None

    def refresh(self) -> str:
        """Bring the layer up to date with events, cells and clock."""
        if not self.on:
            return ""
        lacking = self.lacks()
        clock = self.state.clock
        if lacking or clock is None:
            self.remove()
            return lacking
        events = self.state.events()
        self.flashes = FlashImage(self.state.label_plane(), events, clock, self.decay_s)
        self.flashes.show(shown_frame(self.state.viewer, self.state.movie))
        colours = {"colors": self.flashes.colours, "name": "events", "interpolation": "zero"}
        if self.is_shown and self.layer is not None and self.layer.data.shape == self.flashes.image.shape:
            self.layer.data = self.flashes.image
            self.layer.colormap = colours
        else:
            self.remove()
            self.add(
                self.flashes.image,
                "flashes of events",
                colormap=colours,
                blending="additive",
                contrast_limits=(0, 255),
                **spatial_placing(self.state.labels),
            )
        return f"{len(events)} events flash." if len(events) else "No events of these cells yet."

    def frame_moved(self, event: Any = None) -> None:
        """Write the flashes of the frame that is shown into the layer."""
        if not self.on or self.flashes is None or not self.is_shown or self.layer is None:
            return
        movie = self.state.movie
        if (
            movie is not None
            and self.flashes.show(shown_frame(self.state.viewer, movie))
            and self.layer.visible
        ):
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)
