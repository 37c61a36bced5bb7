"""One evented object per viewer: what is in play, and who must hear when it changes.

A `Session` knows neither Qt nor napari. Layers are named by their unique id, so that it can be built, tested and
saved without a window. It is the only thing that changes what it holds: whoever wants an edit hands an action to
`do`, and hears of it through the signals, like everybody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_biofm.actions import (
    Action,
    EditLabels,
    EditLinks,
    Group,
    History,
    SetClock,
    SetEvents,
    edit_classes,
    label_cells,
)
from napari_biofm.cells.table.cell_table import add_embedding
from napari_biofm.cells.table.classes import CellClasses, read_classes
from napari_biofm.events.reviewed import EventTable, reviewed
from napari_biofm.links import Link
from napari_biofm.selection import CellKey, CellSet
from napari_biofm.session.entries import Pointed, RecordingEntry
from napari_biofm.session.state import State
from napari_biofm.signals.curation import verdicts_of, with_verdicts
from napari_biofm.types import Events, Segmentation, SessionError, Vectors, no_events

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_biofm.cells.classify.classified import Classified
    from napari_biofm.engine import Engine
    from napari_biofm.images.edit.index import Box, LabelIndex
    from napari_biofm.images.edit.labels_edit import LabelsTarget
    from napari_biofm.signals import Recording
    from napari_biofm.timeline import Clock


class Session:
    """State of one viewer.

    Parameters
    ----------
    engine : where long work runs; made on first use from `engine_factory` when not given.
    """

    layers_changed = Signal()  # which image and which labels are in play
    selection_changed = Signal(CellSet)
    canvas_taken = Signal(str)  # by which mode clicks on the canvas are taken from now on: others give way
    time_changed = Signal(float)  # seconds on the session's clock
    pointed_changed = Signal(object)  # Pointed, or None when the mouse left
    log_begun = Signal()  # the log goes on from that of a session that was opened
    closed = Signal()

    def __init__(
        self, engine: Engine | None = None, engine_factory: Callable[[], Engine] | None = None
    ) -> None:
        self._state = state = State()
        self.segmentation_changed = state.segmentation_changed
        self.labels_edited = state.labels_edited
        self.cells_changed = state.cells_changed
        self.classes_changed = state.classes_changed
        self.recordings_changed = state.recordings_changed
        self.events_changed = state.events_changed
        self.links_changed = state.links_changed
        self.clocks_changed = state.clocks_changed
        self.detector_changed = state.detector_changed
        self.history = History(state)
        self._log: list[dict[str, Any]] = []
        self.history.recorded.connect(self._write_log)
        self._engine = engine
        self._engine_factory = engine_factory
        self._image: str | None = None
        self._labels: str | None = None
        self._selection = CellSet()
        self._time_s = 0.0
        self._pointed: Pointed | None = None
        self._is_closed = False

    # ------------------------------------------------------------------ edits

    def do(self, action: Action, *, applied: bool = False) -> None:
        """Carry an edit out, so that it can be undone and stands in the log.

        Parameters
        ----------
        action : the edit.
        applied : whether its caller carried it out already, as napari's brush does.

        Raises
        ------
        SessionError
            If it does not fit; nothing is changed then.
        """
        self.history.do(action, applied=applied)
        if applied and isinstance(action, EditLabels):
            self._state.labels_written(action.edit.layer, action.edit.labels, action.edit.patches)

    def undo(self) -> str:
        """Take the last edit back and return its name; see `History.undo`."""
        return self.history.undo()

    def redo(self) -> str:
        """Do again what was undone last and return its name; see `History.redo`."""
        return self.history.redo()

    @property
    def log(self) -> tuple[dict[str, Any], ...]:
        """The record of every edit so far, undos included, each with the time `at` which it was made."""
        return tuple(self._log)

    def begin_log(self, entries: Iterable[Mapping[str, Any]] = ()) -> None:
        """Forget the history and go on with another log, e.g. that of a session that was opened."""
        self.history.clear()
        self._log = [dict(entry) for entry in entries]
        self.log_begun.emit()

    def _write_log(self, record: dict[str, Any]) -> None:
        self._log.append({"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **record})

    # ------------------------------------------------------------------ engine and life

    @property
    def engine(self) -> Engine:
        """Where long work runs."""
        if self._engine is None:
            if self._engine_factory is None:
                from napari_biofm.engine import InlineEngine

                self._engine_factory = InlineEngine
            self._engine = self._engine_factory()
        return self._engine

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def use_engine(self, engine: Engine) -> None:
        """Run what comes from now on in `engine`; the former engine is closed."""
        former, self._engine = self._engine, engine
        if former is not None:
            former.close()

    def close(self) -> None:
        """Stop the engine, tell the listeners, and let go of them."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._engine is not None:
            self._engine.close()
        self.closed.emit()
        self._state.disconnect()
        for signal in (
            self.layers_changed,
            self.selection_changed,
            self.time_changed,
            self.canvas_taken,
            self.pointed_changed,
            self.log_begun,
            self.closed,
            self.history.changed,
            self.history.recorded,
            self.history.skipped,
        ):
            signal.disconnect()

    # ------------------------------------------------------------------ layers in play

    @property
    def image(self) -> str | None:
        """Unique id of the image layer in play."""
        return self._image

    @property
    def labels(self) -> str | None:
        """Unique id of the labels layer in play."""
        return self._labels

    def set_layers(self, *, image: str | None = None, labels: str | None = None) -> None:
        """Put an image and/or a labels layer in play; what is None stays as it is."""
        before = (self._image, self._labels)
        self._image = image or self._image
        self._labels = labels or self._labels
        if (self._image, self._labels) != before:
            self.layers_changed.emit()

    def attach_labels(self, target: LabelsTarget) -> None:
        """Make the labels of a layer known, so that edits can be carried out on them."""
        self._state.targets[target.uid] = target
        self._state.removed.discard(target.uid)  # a layer that was removed and added again

    def has_labels(self, uid: str) -> bool:
        """Return whether the labels of a layer can be edited."""
        return uid in self._state.targets

    def labels_target(self, uid: str) -> LabelsTarget | None:
        """Return the labels of a layer as they are edited, None where they cannot be."""
        return self._state.targets.get(uid)

    @property
    def known_labels(self) -> frozenset[str]:
        """Ids of the labels layers that can be edited, or whose cells have a table or classes."""
        return frozenset({*self._state.targets, *self._state.cells, *self._state.classes})

    def label_index(self, uid: str) -> LabelIndex:
        """Return where the cells of a layer lie; it follows every change of the masks, whoever made it."""
        return self._state.label_index(uid)

    def labels_changed_outside(
        self,
        uid: str,
        ids: Iterable[int] | None = None,
        places: Iterable[tuple[Box, Iterable[int]]] | None = None,
    ) -> None:
        """Tell that masks were changed by something else than an action.

        Parameters
        ----------
        uid : unique id of the labels layer.
        ids : label values that were changed; None where nobody knows.
        places : boxes (start, stop) and the ids that were changed in each; None where nobody knows.
        """
        self._state.labels_changed_outside(uid, ids, places)

    def forget_layer(self, uid: str) -> None:
        """Drop what was derived from a layer that was removed. Links and history are kept."""
        had_cells = self._state.forget_layer(uid)
        changed = uid in (self._image, self._labels)
        self._image = None if self._image == uid else self._image
        self._labels = None if self._labels == uid else self._labels
        if self._engine is not None:
            self._engine.cancel_bound(uid)
        if changed:
            self.layers_changed.emit()
        if had_cells:
            self.cells_changed.emit(uid)
        self.select(self._selection.without(uid))

    # ------------------------------------------------------------------ products of images

    def segmentation(self, labels: str) -> Segmentation | None:
        """Return the products of the pass that made the masks of a layer, None where it is not known."""
        return self._state.segmentation(labels)

    def set_segmentation(self, labels: str, segmentation: Segmentation) -> None:
        """Keep the products of the pass that made the masks of a layer."""
        self._state.put_segmentation(labels, segmentation)

    def cells(self, labels: str) -> AnnData | None:
        """Return the table of cells of a labels layer, or None where none was made."""
        return self._state.cells.get(labels)

    def set_cells(self, labels: str, table: AnnData) -> None:
        """Keep what was measured of the cells of a layer.

        Classes given by hand stay as they are. A table that brings classes to a layer without any, e.g. from a
        file, gives them to the layer, as an edit that can be undone.
        """
        known = self.classes(labels)
        brought = known if len(known.labels) else read_classes(table, known)
        self._state.put_cells(labels, table)
        if brought != known:
            pairs = tuple(zip(brought.names, brought.colours, strict=True))
            steps: list[Action] = [edit_classes(labels, known, pairs, "read classes")]
            given = label_cells(labels, known, brought.labels, brought.names, brought.codes, "read labels")
            self.do(Group("read labels", (*steps, given)) if given is not None else steps[0])

    def classified(self, labels: str) -> Classified | None:
        """Return what a classifier says of the cells of a layer, None where nothing was learnt."""
        return self._state.classified.get(labels)

    def set_classified(self, labels: str, classified: Classified | None) -> None:
        """Keep what a classifier says of the cells of a layer; it follows from labels and is no edit."""
        if classified is None:
            self._state.classified.pop(labels, None)
        else:
            self._state.classified[labels] = classified

    def set_cell_columns(self, labels: str, columns: Mapping[str, Any]) -> None:
        """Write computed columns (predictions, scores) into the table of a layer, one value per row."""
        table = self._state.cells.get(labels)
        if table is None:
            raise SessionError(
                "The cells of this layer were not measured yet; there is no table to write to."
            )
        for name, values in columns.items():
            table.obs[name] = values

    def add_cell_vectors(self, labels: str, name: str, vectors: Vectors, source: Mapping[str, Any]) -> None:
        """Put an embedding into the table of a layer, one row per cell; one of the same name is replaced."""
        table = self._state.cells.get(labels)
        if table is None:
            raise SessionError("The cells of this layer were not measured yet; there is no table to add to.")
        add_embedding(table, name, vectors, source)

    def classes(self, labels: str) -> CellClasses:
        """Return the classes of the cells of a layer and the labels given by hand; empty where there are none."""
        return self._state.classes.get(labels, CellClasses())

    def set_classes(self, labels: str, pairs: Iterable[tuple[str, str]], name: str = "edit classes") -> None:
        """Give a layer other classes (name, colour), as an edit that can be undone; see `EditClasses`."""
        action = edit_classes(labels, self.classes(labels), pairs, name)
        if action.before != action.after:
            self.do(action)

    def label_cells(
        self,
        labels: str,
        cells: NDArray[np.integer],
        codes: NDArray[np.integer],
        name: str = "label cells",
    ) -> None:
        """Give cells a class by hand, as an edit that can be undone.

        Parameters
        ----------
        labels : unique id of the layer.
        cells : (n,) distinct label values.
        codes : (n,) places of their classes in `classes(labels).names`, -1 takes a label away.
        """
        now = self.classes(labels)
        action = label_cells(labels, now, cells, now.names, codes, name)
        if action is not None:
            self.do(action)

    # ------------------------------------------------------------------ recordings and events

    @property
    def recordings(self) -> dict[str, RecordingEntry]:
        """Recordings in play by id, in the order they were opened (a copy)."""
        tables = self._state.events
        return {
            uid: RecordingEntry(recording, tables[uid].events, tables[uid].provenance)
            for uid, recording in self._state.recordings.items()
        }

    def add_recording(self, recording: Recording, name: str | None = None) -> str:
        """Put a recording in play and return its id (its name, made unique)."""
        base = name or recording.name
        uid, n = base, 2
        while uid in self._state.recordings:
            uid, n = f"{base} [{n}]", n + 1
        self._state.events[uid] = EventTable()
        self._state.put_recording(uid, recording)
        return uid

    def put_traces(
        self,
        recording: Recording,
        name: str,
        events: Events | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> str:
        """Put traces of cells in play in the place of those measured before on the same movie and masks.

        What was said of a cell (accepted, rejected) stays with its label.

        Parameters
        ----------
        recording : traces of cells that know their movie and masks.
        name : of the recording where there are none yet.
        events : found in them; the events of former traces are replaced, which can be undone.
        provenance : of the events.

        Returns
        -------
        The id of the recording.
        """
        on = recording.measured_on
        former = (
            uid for uid, one in self._state.recordings.items() if on is not None and one.measured_on == on
        )
        uid = next(former, None)
        if uid is None:
            uid = self.add_recording(recording, name)
        else:
            there = set(recording.labels.tolist())
            said = verdicts_of(self._state.recordings[uid])
            recording = with_verdicts(
                recording, {label: one for label, one in said.items() if label in there}
            )
            self._state.put_recording(uid, recording)
        if events is not None or len(self.events(uid)):
            self.set_events(uid, no_events() if events is None else events, provenance or {}, "measure cells")
        return uid

    def remove_recording(self, uid: str) -> None:
        """Close a recording; its links are kept."""
        self._state.check_recording(uid)
        del self._state.recordings[uid], self._state.events[uid]
        self.recordings_changed.emit()

    def events(self, uid: str) -> Events:
        """Return the events of a recording, of REVIEWED_DTYPE."""
        return self._state.event_table(uid).events

    def event_table(self, uid: str) -> EventTable:
        """Return the events of a recording with their provenance."""
        return self._state.event_table(uid)

    def set_events(
        self, uid: str, events: Events, provenance: Mapping[str, Any], name: str = "detect"
    ) -> None:
        """Replace the events of a recording, as an edit that can be undone."""
        before = self._state.event_table(uid)
        self.do(SetEvents(uid, before, EventTable(reviewed(events), dict(provenance)), name))

    @property
    def detector(self) -> Mapping[str, Any] | None:
        """The taught detector in use as plain data, None for the stock model."""
        return self._state.detector

    # ------------------------------------------------------------------ links and clocks

    @property
    def links(self) -> frozenset[Link]:
        """Which recorded channel belongs to which cell."""
        return self._state.links

    def link(self, link: Link) -> None:
        """Tie a recorded channel to a cell; one channel belongs to one cell. Can be undone."""
        n_channels = self._state.recording(link.recording).n_channels
        if not 0 <= link.channel < n_channels:
            raise SessionError(
                f"Channel {link.channel} of '{link.recording}' cannot be linked; it has 0 to {n_channels - 1}."
            )
        former = {a for a in self.links if (a.recording, a.channel) == (link.recording, link.channel)}
        if former != {link}:
            self.do(EditLinks("link", (link,), tuple(sorted(former))))

    def unlink(self, link: Link) -> None:
        """Untie a channel from its cell. Can be undone."""
        if link in self.links:
            self.do(EditLinks("unlink", (), (link,)))

    def clock(self, image: str) -> Clock | None:
        """Return the clock of a movie layer, or None where none is set."""
        return self._state.clock(image)

    @property
    def clocks(self) -> dict[str, Clock]:
        """Clocks by the unique id of their movie layer (a copy)."""
        return dict(self._state.clocks)

    def set_clock(self, image: str, clock: Clock) -> None:
        """Say which frame of a movie is which second. Can be undone."""
        self.do(SetClock(image, self._state.clock(image), clock))

    # ------------------------------------------------------------------ selection and time

    @property
    def selection(self) -> CellSet:
        """The one selection of cells that image, table, plots and raster share."""
        return self._selection

    def select(self, cells: Iterable[CellKey]) -> None:
        """Make these cells the selection."""
        chosen = CellSet.of(cells)
        if chosen != self._selection:
            self._selection = chosen
            self.selection_changed.emit(chosen)

    @property
    def time_s(self) -> float:
        """Where the cursor stands, seconds."""
        return self._time_s

    def set_time(self, seconds: float) -> None:
        """Put the cursor at a time.

        Raises
        ------
        SessionError
            If it is not finite.
        """
        if not np.isfinite(seconds):
            raise SessionError(f"Time must be a finite number of seconds, not {seconds}.")
        if seconds != self._time_s:
            self._time_s = float(seconds)
            self.time_changed.emit(self._time_s)

    @property
    def pointed(self) -> Pointed | None:
        """The event under the mouse, None where there is none."""
        return self._pointed

    def point_at(self, event: Pointed | None) -> None:
        """Say which event the mouse is on, so that every view can show it."""
        if event != self._pointed:
            self._pointed = event
            self.pointed_changed.emit(event)
