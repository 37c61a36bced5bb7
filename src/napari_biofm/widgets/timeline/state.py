"""What the panels of the timeline share: the movie, the cells and the recording in play, and what follows."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal

from napari_biofm.session import CellKey, Session
from napari_biofm.timeline import CellEvents, Clock, cell_centres, cell_events
from napari_biofm.widgets.common.layer_pixels import shown_step
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id


class TimelineState:
    """Movie, cells and recording chosen in the dock; events per cell, computed once per change.

    Parameters
    ----------
    viewer : napari viewer.
    session : of the viewer.
    """

    chosen = Signal()  # another movie, other cells or another recording
    cells_moved = Signal()  # the pixels of the cells changed
    events_moved = Signal()  # events, links, clocks or cells changed: what shows events must follow

    def __init__(self, viewer: Any, session: Session) -> None:
        self.viewer = viewer
        self.session = session
        self.movie_uid: str | None = None
        self.labels_uid: str | None = None
        self.recording_uid: str | None = None
        self.version = 0  # of the pixels of cells: another number after every edit
        self._centres: dict[str, dict[int, tuple[float, float]]] = {}
        self._events: CellEvents | None = None

    @property
    def movie(self) -> Any | None:
        """The movie layer, None without one."""
        return layer_by_id(self.viewer, self.movie_uid)

    @property
    def labels(self) -> Any | None:
        """The labels layer whose cells are meant, None without one."""
        return layer_by_id(self.viewer, self.labels_uid)

    @property
    def clock(self) -> Clock | None:
        """The clock of the movie, None where none is set."""
        return self.session.clock(self.movie_uid) if self.movie_uid else None

    def lacks(self) -> str:
        """Return what is missing before events can be shown on the movie, "" where nothing is."""
        if self.movie is None:
            return "Open a movie (an image with a time axis) to show events on it."
        if self.labels is None:
            return "Choose the labels layer with the cells."
        if self.clock is None:
            return "The movie has no clock yet: press Align."
        return ""

    def choose(self, which: str, uid: str | None) -> None:
        """Put a "movie", "labels" or "recording" in play."""
        if getattr(self, f"{which}_uid") != uid:
            setattr(self, f"{which}_uid", uid)
            self._events = None
            self.chosen.emit()
            self.events_moved.emit()

    def things_changed(self, *_: Any) -> None:
        """Forget what was computed from events, links and clocks, and tell who shows them."""
        self._events = None
        self.events_moved.emit()

    def pixels_changed(self, event: Any = None) -> None:
        """Forget where cells are: somebody painted."""
        self._centres.clear()
        self.version += 1
        self.cells_moved.emit()
        self.things_changed()

    def label_plane(self) -> np.ndarray:
        """Return the (Y, X) labels that are shown; (0, 0) without a layer."""
        layer = self.labels
        if layer is None:
            return np.zeros((0, 0), np.int32)
        data = layer.data[0] if layer.multiscale else layer.data
        if data.ndim == 2:
            return np.asarray(data)
        return np.asarray(data[shown_step(self.viewer, layer)])

    def centres(self) -> dict[int, tuple[float, float]]:
        """Return (y, x) of each cell of the labels layer, its pixels; computed once."""
        if self.labels_uid is None or self.labels is None:
            return {}
        if self.labels_uid not in self._centres:
            self._centres[self.labels_uid] = cell_centres(self.label_plane())
        return self._centres[self.labels_uid]

    def events(self) -> CellEvents:
        """Return all events of the cells in play, on the movie's clock; computed once per change."""
        if self._events is None:
            links: dict[str, dict[int, int]] = {}
            for link in self.session.links:
                if link.cell.layer == self.labels_uid:
                    links.setdefault(link.recording, {})[link.channel] = link.cell.label
            found = {uid: (e.recording, e.events) for uid, e in self.session.recordings.items()}
            self._events = cell_events(found, links, self.clock)
        return self._events

    def population(self) -> CellEvents:
        """Return the events found in traces of cells, all of one kind; all events where there are none.

        A patched cell has its spikes beside its calcium events; counting both would make it twice as
        active as its neighbours.
        """
        events, recordings = self.events(), self.session.recordings
        own = [i for i, uid in enumerate(events.recordings) if recordings[uid].recording.is_cells]
        found = events.take(np.isin(events.source, own))
        return found if len(found) else events

    def events_of(self, labels: list[int]) -> CellEvents:
        """Return events of cells: of the recording in play where it has some, else of the traces."""
        events = self.events()
        mine = np.isin(events.labels, labels)
        if self.recording_uid in events.recordings:
            chosen = mine & (events.source == events.recordings.index(self.recording_uid))
            if chosen.any():
                return events.take(chosen)
        population = self.population()
        return population.take(np.isin(population.labels, labels))

    def cell_at(self, position: Any, view_direction: Any = None, displayed: Any = None) -> CellKey | None:
        """Return the cell under a position of the canvas (world coordinates), None on background."""
        layer = self.labels
        if layer is None:
            return None
        value = layer.get_value(position, view_direction=view_direction, dims_displayed=displayed, world=True)
        value = value[-1] if isinstance(value, tuple) else value
        return CellKey(layer_id(layer), int(value)) if value else None
