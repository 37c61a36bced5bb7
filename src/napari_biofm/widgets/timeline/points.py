"""Events as a Points layer (t, y, x) over the movie, kept up to date."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.timeline import class_colours, visible_frames
from napari_biofm.widgets.pixels import spatial_placing
from napari_biofm.widgets.timeline.movies import n_frames
from napari_biofm.widgets.timeline.state import TimelineState

SIZE = 9.0


class EventPoints:
    """Keeps one Points layer: an event shows at its cell from the frame it falls in, and fades.

    Parameters
    ----------
    state : of the dock.
    """

    def __init__(self, state: TimelineState) -> None:
        self.state = state
        self.layer: Any | None = None
        self.hold_s = 0.25
        self.on = False

    def show(self, on: bool) -> str:
        """Show or remove the layer; return what is to be said about it."""
        self.on = on
        if on:
            return self.refresh()
        if self.layer is not None and self.layer in self.state.viewer.layers:
            self.state.viewer.layers.remove(self.layer)
        self.layer = None
        return ""

    def refresh(self) -> str:
        """Bring the layer up to date; return what is to be said about it."""
        if not self.on:
            return ""
        movie, clock = self.state.movie, self.state.clock
        if movie is None:
            return self._nothing("Open a movie (an image with a time axis) to show events on it.")
        if clock is None:
            return self._nothing("The movie has no clock yet: press Align.")
        if self.state.labels is None:
            return self._nothing("Choose the labels layer with the cells.")
        events = self.state.events()
        centres = self.state.centres()
        seen = np.isin(events.labels, list(centres)) & clock.covers(events.seconds)
        shown = events.take(seen)
        if len(shown) == 0:
            return self._nothing(self._why_none(len(events), events.elsewhere))
        frames, which = visible_frames(shown.seconds, clock, self.hold_s)
        keep = frames < n_frames(movie)
        frames, which = frames[keep], which[keep]
        lookup = np.zeros((max(centres) + 1, 2))
        lookup[list(centres)] = list(centres.values())
        data = np.column_stack([frames, lookup[shown.labels[which]]])
        age = np.maximum(clock.times[frames] - shown.seconds[which], 0)
        colours = class_colours(shown.classes[which])
        colours[:, 3] = 0.25 + 0.75 * np.exp(-2 * age / max(self.hold_s, 1e-9))
        features = {
            "class": shown.classes[which],
            "label": shown.labels[which],
            "time_s": shown.seconds[which],
            "recording": np.array(shown.recordings)[shown.source[which]],
            "row": shown.rows[which],
        }
        self._put(data, features, colours)
        cells = np.unique(shown.labels)
        whose = f"cell {cells[0]}" if len(cells) == 1 else f"{len(cells)} cells"
        words = f"{len(shown)} events of {whose} are shown."
        if events.elsewhere:
            words += f" Not on this movie's clock: {', '.join(events.elsewhere)}."
        gone = np.setdiff1d(events.labels, list(centres))
        if len(gone):
            words += f" Linked but no longer among the cells: {', '.join(map(str, gone[:8]))}."
        return words

    def _put(self, data: np.ndarray, features: dict[str, np.ndarray], colours: np.ndarray) -> None:
        if self.layer is None or self.layer not in self.state.viewer.layers:
            movie: Any = self.state.movie
            labels = self.state.labels
            active = self.state.viewer.layers.selection.active
            self.layer = self.state.viewer.add_points(
                data,
                features=features,
                face_color=colours,
                border_width=0,
                size=SIZE,
                ndim=3,
                name=f"{movie.name} events",
                metadata={"biofm_overlay": "events"},
                **movie_placing(movie, labels),
            )
            self.layer.editable = False
            self.state.viewer.layers.selection.active = active
            return
        layer = self.layer
        with layer.events.data.blocker():
            layer.data = data
        layer.features = features
        layer.face_color = colours
        layer.editable = False

    def _nothing(self, why: str) -> str:
        """Empty the layer, if there is one, and pass the reason on."""
        layer = self.layer
        if layer is not None and layer in self.state.viewer.layers and len(layer.data):
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
        if any(len(entry.events) for entry in self.state.session.recordings.values()):
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
