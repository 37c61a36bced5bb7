"""What the panels of the timeline share: the movie, the cells and the recording in play, and what follows. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from psygnal import Signal

from napari_biofm.actions import Group, SetBehaviour
from napari_biofm.session import CellKey, Session
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import Behaviour, behaviour_events, behaviour_of
from napari_biofm.signals.curation import choose_cells, rejected_labels, said_of_rejected
from napari_biofm.timeline import CellEvents, Clock, cell_centres, cell_events, is_of_masks, is_of_movie


class LayersInPlay(Protocol):
    """The layers of a viewer, as far as the timeline must know them."""

    def layer(self, uid: str | None) -> Any | None:
        """Return a layer by its id, None where it is gone."""
        ...

    def part(self, uid: str) -> str:
        """Return the channel or plane of a movie that is shown, "" where it has one."""
        ...

    def label_planes(self, uid: str) -> Iterator[np.ndarray]:
        """Give planes (Y, X) of labels with a time axis, some of very many; the one that is shown last."""
        ...

    def label_plane(self, uid: str) -> np.ndarray:
        """Return the (Y, X) labels that are shown."""
        ...

    def label_at(self, uid: str, position: Any, view_direction: Any, displayed: Any) -> int:
        """Return the label under a position of the canvas (world coordinates), 0 on background."""
        ...


class TimelineController:
    """Movie, cells and recording chosen in the dock; events per cell, computed once per change.

    Parameters
    ----------
    session : of the viewer.
    layers : of the viewer.
    """

    chosen = Signal()  # another movie, other cells or another recording
    cells_moved = Signal()  # the pixels of the cells changed
    events_moved = Signal()  # events, links, clocks or cells changed: what shows events must follow

    def __init__(self, session: Session, layers: LayersInPlay) -> None:
        self.session = session
        self.layers = layers
        self.movie_uid: str | None = None
        self.labels_uid: str | None = None
        self.recording_uid: str | None = None
        self.rejected = False  # whether rejected cells count
        self.version = 0  # of the pixels of cells: another number after every edit
        self._centres: dict[str, dict[int, tuple[float, float]]] = {}
        self._events: CellEvents | None = None
        self._part = ""  # of the movie, that `_events` are of

    # ------------------------------------------------------------------ what is in play

    @property
    def movie(self) -> Any | None:
        """The movie layer, None without one."""
        return self.layers.layer(self.movie_uid)

    @property
    def labels(self) -> Any | None:
        """The labels layer whose cells are meant, None without one."""
        return self.layers.layer(self.labels_uid)

    def movie_part(self) -> str:
        """Return the channel or plane of the movie that is shown, "" where it has one."""
        return self.layers.part(self.movie_uid) if self.movie_uid and self.movie is not None else ""

    @property
    def clock(self) -> Clock | None:
        """The clock of the movie, None where none is set."""
        return self.session.clock(self.movie_uid) if self.movie_uid else None

    @property
    def recordings(self) -> dict[str, Recording]:
        """All recordings by their ids, in the order they were opened."""
        return {uid: entry.recording for uid, entry in self.session.recordings.items()}

    @property
    def recording(self) -> Recording | None:
        """The recording in play, None without one."""
        return self.recordings.get(self.recording_uid or "")

    @property
    def span(self) -> tuple[float, float]:
        """First and last second of the movie, else of the events."""
        clock, events = self.clock, self.events()
        if clock is not None:
            stop = float(clock.at_frames([clock.n_frames])[0])
            return float(clock.times[0]), max(stop, float(clock.times[0]) + 1e-3)
        if len(events):
            return float(events.seconds[0]), float(events.seconds[-1]) + 1e-3
        return 0.0, 1.0

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

    def include_rejected(self, on: bool) -> None:
        """Have rejected cells count, too, or leave them out."""
        if on != self.rejected:
            self.rejected = on
            self.things_changed()

    # ------------------------------------------------------------------ cells

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
        if self.labels_uid is None or self.labels is None:
            return np.zeros((0, 0), np.int32)
        return self.layers.label_plane(self.labels_uid)

    def centres(self) -> dict[int, tuple[float, float]]:
        """Return (y, x) of each cell of the labels layer, its pixels; computed once."""
        if self.labels_uid is None or self.labels is None:
            return {}
        if self.labels_uid not in self._centres:
            found: dict[int, tuple[float, float]] = {}
            for plane in self.layers.label_planes(self.labels_uid):
                found.update(cell_centres(plane))
            self._centres[self.labels_uid] = dict(sorted(found.items()))
        return self._centres[self.labels_uid]

    def rejected_labels(self) -> list[int]:
        """Return the labels of the rejected cells in play, ascending; cells with a linked recording are none of them."""
        traces = self.traces()
        linked = {label for cells in self.linked_cells().values() for label in cells.values()}
        found = [] if traces is None else rejected_labels(traces).tolist()
        return sorted(set(found) & set(self.centres()) - linked)

    def left_out(self) -> list[int]:
        """Return the labels of the cells that do not count: the rejected ones, unless they are included."""
        return [] if self.rejected else self.rejected_labels()

    def counted_centres(self) -> dict[int, tuple[float, float]]:
        """Return (y, x) of each cell that counts, pixels."""
        out = set(self.left_out())
        return {label: at for label, at in self.centres().items() if label not in out}

    def said_of_rejected(self) -> str:
        """Return how many rejected cells were left out or are included, "" where none is rejected."""
        n = len(self.rejected_labels())
        return said_of_rejected(n, len(self.centres()), self.rejected)

    def cell_at(self, position: Any, view_direction: Any = None, displayed: Any = None) -> CellKey | None:
        """Return the cell under a position of the canvas (world coordinates), None on background."""
        if self.labels_uid is None or self.labels is None:
            return None
        label = self.layers.label_at(self.labels_uid, position, view_direction, displayed)
        return CellKey(self.labels_uid, label) if label else None

    def cells(self) -> Any | None:
        """Return the table of the cells in play, None where they were not measured."""
        return self.session.cells(self.labels_uid) if self.labels_uid else None

    def table(self) -> Any:
        """Return a copy of the table of the cells in play, made from the masks where there is none."""
        table = self.cells()
        if table is not None:
            return table.copy()
        from napari_biofm.cells.table.cell_table import make_table

        return make_table(self.label_plane(), layer=str(self.labels_uid))

    def selected_labels(self) -> list[int]:
        """Return the labels of the selected cells of the labels layer in play, ascending."""
        return self.session.selection.labels_of(self.labels_uid).tolist()

    def linked_cells(self) -> dict[str, dict[int, int]]:
        """Return per recording the label of the cell in play that each channel is linked to."""
        linked: dict[str, dict[int, int]] = {}
        for link in sorted(self.session.links):
            if link.cell.layer == self.labels_uid:
                linked.setdefault(link.recording, {})[link.channel] = link.cell.label
        return linked

    # ------------------------------------------------------------------ behaviour

    def behaviour(self) -> tuple[str, Recording, Behaviour] | None:
        """Return id and recording of the behaviour signal, and what is said of it; None where none is set."""
        for uid, recording in self.recordings.items():
            found = behaviour_of(recording)
            if found is not None:
                return uid, recording, found
        return None

    def set_behaviour(self, uid: str | None, behaviour: Behaviour | None) -> None:
        """Make a channel of a recording the behaviour signal in place of another, as an edit that can be undone."""
        steps = []
        for other, recording in self.recordings.items():
            before, after = behaviour_of(recording), behaviour if other == uid else None
            if before != after:
                steps.append(SetBehaviour(other, before, after))
        if steps:
            self.session.do(Group("set behaviour", tuple(steps)) if len(steps) > 1 else steps[0])

    def behaviour_seconds(self) -> np.ndarray:
        """Return when events of the behaviour signal begin, (n,) seconds of the session."""
        found = self.behaviour()
        return np.zeros(0) if found is None else behaviour_events(found[1], found[2])

    # ------------------------------------------------------------------ events and traces

    def events(self) -> CellEvents:
        """Return all events of the cells in play, on the movie's clock; computed once per change."""
        part = self.movie_part()
        if self._events is None or self._part != part:
            found = {uid: (e.recording, e.events) for uid, e in self.session.recordings.items()}
            self._events = cell_events(
                found, self.linked_cells(), self.clock, self.labels_uid, part, self.rejected
            )
            self._part = part
        return self._events

    def population(self) -> CellEvents:
        """Return the events found in traces of cells, all of one kind; all events where there are none.

        A patched cell has its spikes beside its calcium events; counting both would make it twice as
        active as its neighbours.
        """
        events = self.events()
        found = events.of_recordings({uid for uid, one in self.recordings.items() if one.is_cells})
        return found if len(found) else events

    def events_of(self, labels: list[int]) -> CellEvents:
        """Return events of cells: of the recording in play where it has some, else of the traces."""
        events = self.events()
        chosen = events.of_recordings({self.recording_uid or ""})
        mine = chosen.take(np.isin(chosen.labels, labels))
        if len(mine):
            return mine
        population = self.population()
        return population.take(np.isin(population.labels, labels))

    def traces(self) -> Recording | None:
        """Return the traces of the cells in play: those of the movie before others, the latest first."""
        clock, masks = self.clock, self.labels_uid
        traces = [one for one in self.recordings.values() if one.is_cells and is_of_masks(one, masks)]
        own = [one for one in traces if clock is not None and is_of_movie(one, clock)]
        part = self.movie_part()
        own = [one for one in own if one.measured_on is None or one.measured_on.part == part] or own
        return next(reversed(own or traces), None)

    def counted_traces(self) -> Recording | None:
        """Return the traces of the cells in play without the rejected ones, unless those are included."""
        traces = self.traces()
        return None if traces is None else choose_cells(traces, self.rejected).recording
