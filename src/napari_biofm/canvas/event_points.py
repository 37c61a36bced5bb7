"""Events as a Points layer (t, y, x) over the movie, kept up to date."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.canvas.overlays import Overlay
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import n_frames, shown_frame
from napari_biofm.timeline.event_places import EventPlaces, PlacedPoints

SIZE = 9.0


class EventPoints(Overlay):
    """Keeps one Points layer: an event shows at its cell from the frame it falls in, and fades.

    napari looks at every point of a layer at each step of the slider; of many events the layer therefore
    holds those of the frames around the one that is shown, and the next ones when the slider leaves them.

    Parameters
    ----------
    viewer, controller : see `Overlay`.
    """

    kind = "events"

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        super().__init__(viewer, controller)
        self.hold_s = 0.25
        self.on = False
        self._places: EventPlaces | None = None
        self._window = (0, 0)  # frames whose events the layer holds, the last not counted

    def show(self, on: bool) -> str:
        """Show or remove the layer; return what is to be said about it."""
        self.on = on
        if on:
            return self.refresh()
        self.remove()
        self._places = None
        return ""

    def refresh(self) -> str:
        """Bring the layer up to date; return what is to be said about it."""
        if not self.on:
            return ""
        movie, clock, lacking = self.controller.movie, self.controller.clock, self.controller.lacks()
        if lacking or movie is None or clock is None:
            return self._nothing(lacking)
        events = self.controller.events()
        centres = self.controller.centres()
        places = EventPlaces.of(events, centres, clock, self.hold_s, n_frames(movie))
        shown = places.events
        if len(shown) == 0:
            return self._nothing(self._why_none(len(events), events.elsewhere))
        self._places, self._window = places, (0, 0)
        self.frame_moved()
        cells = np.unique(shown.labels)
        whose = f"cell {cells[0]}" if len(cells) == 1 else f"{len(cells)} cells"
        words = f"{len(shown)} events of {whose} are shown."
        if events.elsewhere:
            words += f" Not on this movie's clock: {', '.join(events.elsewhere)}."
        gone = np.setdiff1d(events.labels, list(centres))
        if len(gone):
            words += f" Linked but no longer among the cells: {', '.join(map(str, gone[:8]))}."
        return words

    def frame_moved(self, event: Any = None) -> None:
        """Have the events of the shown frame in the layer; nothing is done where they are there."""
        movie, places = self.controller.movie, self._places
        if not self.on or movie is None or places is None:
            return
        frame, (first, last) = shown_frame(self.viewer, movie), self._window
        if first <= frame < last:
            return
        self._window = places.window(frame)
        self._put(places.points(self._window))

    def event_at(self, position: Any) -> dict[str, Any] | None:
        """Return the event whose point lies at a position of the canvas (world), None where none does."""
        layer = self.layer
        if layer is None or not self.is_shown or not layer.visible:
            return None
        index = layer.get_value(position, world=True)
        if index is None or not 0 <= int(index) < len(layer.features):
            return None
        return dict(layer.features.iloc[int(index)])

    def _put(self, points: PlacedPoints) -> None:
        data, features, colours = points.data, points.features, points.colours
        if not self.is_shown:
            movie: Any = self.controller.movie
            labels = self.controller.labels
            added = self.put(
                self.viewer.add_points,
                data,
                features=features,
                face_color=colours,
                border_width=0,
                size=SIZE,
                ndim=3,
                name=f"{movie.name} events",
                **movie_placing(movie, labels),
            )
            added.editable = False
            return
        layer: Any = self.layer
        with layer.events.data.blocker():
            layer.data = data
        layer.features = features
        layer.face_color = colours
        layer.editable = False

    def _nothing(self, why: str) -> str:
        """Empty the layer, if there is one, and pass the reason on."""
        self._places = None
        layer = self.layer
        if layer is not None and self.is_shown and len(layer.data):
            layer.editable = True
            layer.selected_data = set(range(len(layer.data)))
            layer.remove_selected()
            layer.editable = False
        return why

    def _why_none(self, n_events: int, elsewhere: tuple[str, ...]) -> str:
        if elsewhere and not n_events:
            return (
                f"{', '.join(elsewhere)} is not the recording the movie is aligned to, so nobody knows when "
                "its events happened. Align the movie to it, or link the recording the movie is aligned to."
            )
        if n_events:
            return f"{n_events} events, but none falls inside the movie or on a cell of this labels layer."
        if any(len(entry.events) for entry in self.controller.session.recordings.values()):
            return "Events were found, but their channels are linked to no cell: link them under 'Cells'."
        return "No events yet: find some in the dock 'Traces and events'."


def movie_placing(movie: Any, labels: Any) -> dict[str, Any]:
    """Return affine and units of a (t, y, x) layer: time as in `movie`, space as in `labels`."""
    plane = spatial_placing(labels)
    zero = np.zeros(movie.ndim)
    one = zero.copy()
    one[0] = 1
    origin = float(movie.data_to_world(zero)[0])
    affine = np.eye(4)
    affine[0, 0] = float(movie.data_to_world(one)[0]) - origin
    affine[0, 3] = origin
    affine[1:, 1:] = plane["affine"]
    return {"affine": affine, "units": [str(movie.units[0]), *plane["units"]]}
