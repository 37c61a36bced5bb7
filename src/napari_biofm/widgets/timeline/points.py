"""Events as a Points layer (t, y, x) over the movie, kept up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline import CellEvents, class_colours, visible_frames
from napari_biofm.widgets.common.layer_pixels import spatial_placing
from napari_biofm.widgets.timeline.movies import n_frames, shown_frame
from napari_biofm.widgets.timeline.overlays import Overlay
from napari_biofm.widgets.timeline.state import TimelineState

SIZE = 9.0
MOST_POINTS = 20_000  # that napari slices in no time; of more, those around the shown frame are kept


@dataclass(frozen=True, eq=False)
class _Places:
    """Where events show: (n,) frame, sorted, and the row of `events` and of the points each belongs to."""

    frames: NDArray[np.intp]
    which: NDArray[np.intp]
    events: CellEvents
    centres: NDArray[np.float64]  # (n_events, 2) y, x


class EventPoints(Overlay):
    """Keeps one Points layer: an event shows at its cell from the frame it falls in, and fades.

    napari looks at every point of a layer at each step of the slider; of many events the layer therefore
    holds those of the frames around the one that is shown, and the next ones when the slider leaves them.

    Parameters
    ----------
    state : of the dock.
    """

    kind = "events"

    def __init__(self, state: TimelineState) -> None:
        super().__init__(state)
        self.hold_s = 0.25
        self.on = False
        self._places: _Places | None = None
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
        movie, clock, lacking = self.state.movie, self.state.clock, self.state.lacks()
        if lacking or movie is None or clock is None:
            return self._nothing(lacking)
        events = self.state.events()
        centres = self.state.centres()
        seen = np.isin(events.labels, list(centres)) & clock.covers(events.seconds)
        shown = events.take(seen)
        if len(shown) == 0:
            return self._nothing(self._why_none(len(events), events.elsewhere))
        frames, which = visible_frames(shown.seconds, clock, self.hold_s)
        order = np.argsort(frames, kind="stable")
        order = order[: np.searchsorted(frames[order], n_frames(movie))]
        lookup = np.zeros((max(centres) + 1, 2))
        lookup[list(centres)] = list(centres.values())
        self._places = _Places(frames[order], which[order], shown, lookup[shown.labels])
        self._window = (0, 0)
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
        movie, places = self.state.movie, self._places
        if not self.on or movie is None or places is None:
            return
        frame, (first, last) = shown_frame(self.state.viewer, movie), self._window
        if first <= frame < last:
            return
        if len(places.frames) <= MOST_POINTS:
            self._window = (0, n_frames(movie))
        else:
            per_frame = max(len(places.frames) / max(n_frames(movie), 1), 1e-9)
            reach = max(
                int(MOST_POINTS / 20 / per_frame), 1
            )  # few points: a jump reads a new window each time
            self._window = (max(frame - reach // 4, 0), frame + reach)
        rows = slice(*np.searchsorted(places.frames, self._window))
        frames, which = places.frames[rows], places.which[rows]
        clock: Any = self.state.clock
        events = places.events
        age = np.maximum(clock.times[frames] - events.seconds[which], 0)
        colours = class_colours(events.classes[which])
        colours[:, 3] = 0.25 + 0.75 * np.exp(-2 * age / max(self.hold_s, 1e-9))
        features = {
            "class": events.classes[which],
            "label": events.labels[which],
            "time_s": events.seconds[which],
            "recording": np.array(events.recordings)[events.source[which]],
            "row": events.rows[which],
        }
        self._put(np.column_stack([frames, places.centres[which]]), features, colours)

    def event_at(self, position: Any) -> dict[str, Any] | None:
        """Return the event whose point lies at a position of the canvas (world), None where none does."""
        layer = self.layer
        if layer is None or not self.is_shown or not layer.visible:
            return None
        index = layer.get_value(position, world=True)
        if index is None or not 0 <= int(index) < len(layer.features):
            return None
        return dict(layer.features.iloc[int(index)])

    def _put(self, data: np.ndarray, features: dict[str, np.ndarray], colours: np.ndarray) -> None:
        if not self.is_shown:
            movie: Any = self.state.movie
            labels = self.state.labels
            added = self.put(
                self.state.viewer.add_points,
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
