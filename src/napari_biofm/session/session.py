"""One evented object per viewer: what is in play, and who must hear when it changes.

A `Session` knows neither Qt nor napari. Layers are named by their unique id, so that it can be built,
tested and saved without a window. Widgets read it, change it through its methods, and listen to its
signals; they never keep a second copy.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_biofm.session.history import CallAction, History
from napari_biofm.session.selection import CellKey as CellKey
from napari_biofm.session.selection import CellSet
from napari_biofm.types import Events, Segmentation, SessionError, no_events

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.engine import Engine
    from napari_biofm.signals import Recording
    from napari_biofm.timeline import Clock


@dataclass(frozen=True, order=True)
class Link:
    """A recorded channel belongs to a cell."""

    recording: str
    channel: int
    cell: CellKey


@dataclass(frozen=True)
class Pointed:
    """The event under the mouse, in whatever view that is: a row of a recording's event table."""

    recording: str
    row: int


@dataclass
class RecordingEntry:
    """A recording in play and the events found in it."""

    recording: Recording
    events: Events = field(default_factory=no_events)
    provenance: dict[str, Any] = field(default_factory=dict)


class Session:
    """State of one viewer.

    Parameters
    ----------
    engine : where long work runs; made on first use from `engine_factory` when not given.
    """

    layers_changed = Signal()  # which image and which labels are in play
    segmentation_changed = Signal(str)  # labels layer id
    cells_changed = Signal(str)  # labels layer id
    recordings_changed = Signal()
    events_changed = Signal(str)  # recording id
    links_changed = Signal()
    clocks_changed = Signal()
    selection_changed = Signal(CellSet)
    time_changed = Signal(float)  # seconds on the session's clock
    pointed_changed = Signal(object)  # Pointed, or None when the mouse left
    closed = Signal()

    def __init__(
        self, engine: Engine | None = None, engine_factory: Callable[[], Engine] | None = None
    ) -> None:
        self.history = History()
        self._engine = engine
        self._engine_factory = engine_factory
        self._image: str | None = None
        self._labels: str | None = None
        self._segmentations: dict[str, Segmentation] = {}
        self._cells: dict[str, AnnData] = {}
        self._recordings: dict[str, RecordingEntry] = {}
        self._links: set[Link] = set()
        self._clocks: dict[str, Clock] = {}
        self._selection = CellSet()
        self._time_s = 0.0
        self._pointed: Pointed | None = None
        self._is_closed = False

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
        for signal in (
            self.layers_changed,
            self.segmentation_changed,
            self.cells_changed,
            self.recordings_changed,
            self.events_changed,
            self.links_changed,
            self.clocks_changed,
            self.selection_changed,
            self.time_changed,
            self.pointed_changed,
            self.closed,
            self.history.changed,
            self.history.recorded,
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

    def forget_layer(self, uid: str) -> None:
        """Drop what was derived from a layer that was removed. Links and history are kept."""
        self._segmentations.pop(uid, None)
        had_cells = self._cells.pop(uid, None) is not None
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
        return self._segmentations.get(labels)

    def set_segmentation(self, labels: str, segmentation: Segmentation) -> None:
        self._segmentations[labels] = segmentation
        self.segmentation_changed.emit(labels)

    def cells(self, labels: str) -> AnnData | None:
        """Return the table of cells of a labels layer, or None where none was made."""
        return self._cells.get(labels)

    def set_cells(self, labels: str, table: AnnData) -> None:
        self._cells[labels] = table
        self.cells_changed.emit(labels)

    # ------------------------------------------------------------------ recordings and events

    @property
    def recordings(self) -> dict[str, RecordingEntry]:
        """Recordings in play by id, in the order they were opened (a copy)."""
        return dict(self._recordings)

    def add_recording(self, recording: Recording, name: str | None = None) -> str:
        """Put a recording in play and return its id (its name, made unique)."""
        base = name or recording.name
        uid, n = base, 2
        while uid in self._recordings:
            uid, n = f"{base} [{n}]", n + 1
        self._recordings[uid] = RecordingEntry(recording)
        self.recordings_changed.emit()
        return uid

    def remove_recording(self, uid: str) -> None:
        self._entry(uid)
        del self._recordings[uid]
        self.recordings_changed.emit()

    def events(self, uid: str) -> Events:
        return self._entry(uid).events

    def set_events(self, uid: str, events: Events, provenance: dict[str, Any], name: str = "detect") -> None:
        """Replace the events of a recording, as an edit that can be undone."""
        entry = self._entry(uid)
        former, former_provenance = entry.events, entry.provenance

        def put(table: Events, source: dict[str, Any]) -> None:
            entry.events, entry.provenance = table, source
            self.events_changed.emit(uid)

        self.history.do(
            CallAction(
                name,
                lambda: put(events, provenance),
                lambda: put(former, former_provenance),
                {"recording": uid, "n_events": len(events), **provenance},
            )
        )

    def _entry(self, uid: str) -> RecordingEntry:
        if uid not in self._recordings:
            known = ", ".join(self._recordings) or "none"
            raise SessionError(f"No recording '{uid}' is open; open are: {known}.")
        return self._recordings[uid]

    # ------------------------------------------------------------------ links and clocks

    @property
    def links(self) -> frozenset[Link]:
        return frozenset(self._links)

    def link(self, link: Link) -> None:
        """Tie a recorded channel to a cell; one channel belongs to one cell. Can be undone."""
        self._entry(link.recording)
        former = {a for a in self._links if (a.recording, a.channel) == (link.recording, link.channel)}
        self._change_links("link", {link}, former)

    def unlink(self, link: Link) -> None:
        """Untie a channel from its cell. Can be undone."""
        self._change_links("unlink", set(), {link} & self._links)

    def _change_links(self, name: str, add: set[Link], remove: set[Link]) -> None:
        def change(more: set[Link], less: set[Link]) -> None:
            self._links = (self._links - less) | more
            self.links_changed.emit()

        details = {
            "added": [_as_row(a) for a in sorted(add)],
            "removed": [_as_row(a) for a in sorted(remove)],
        }
        self.history.do(CallAction(name, lambda: change(add, remove), lambda: change(remove, add), details))

    def clock(self, image: str) -> Clock | None:
        """Return the clock of a movie layer, or None where none is set."""
        return self._clocks.get(image)

    @property
    def clocks(self) -> dict[str, Clock]:
        """Clocks by the unique id of their movie layer (a copy)."""
        return dict(self._clocks)

    def set_clock(self, image: str, clock: Clock) -> None:
        """Say which frame of a movie is which second. Can be undone."""
        former = self._clocks.get(image)

        def put(value: Clock | None) -> None:
            if value is None:
                self._clocks.pop(image, None)
            else:
                self._clocks[image] = value
            self.clocks_changed.emit()

        details = {"image": image, "clock": clock.describe()}
        self.history.do(CallAction("set clock", lambda: put(clock), lambda: put(former), details))

    # ------------------------------------------------------------------ selection and time

    @property
    def selection(self) -> CellSet:
        """The one selection of cells that image, table, plots and raster share."""
        return self._selection

    def select(self, cells: Iterable[CellKey]) -> None:
        chosen = CellSet.of(cells)
        if chosen != self._selection:
            self._selection = chosen
            self.selection_changed.emit(chosen)

    @property
    def time_s(self) -> float:
        """Where the cursor stands, seconds."""
        return self._time_s

    def set_time(self, seconds: float) -> None:
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


def _as_row(link: Link) -> list[Any]:
    return [link.recording, link.channel, link.cell.layer, link.cell.label]


_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: Any, engine_factory: Callable[[], Engine] | None = None) -> Session:
    """Return the session of a viewer, making it at the first call.

    napari hands each dock a fresh proxy of its viewer; the session hangs on the viewer behind it.

    Parameters
    ----------
    viewer : napari viewer, viewer model or a proxy of one; anything that can be weakly referenced.
    engine_factory : makes the engine when the first job is submitted; used at the first call only.
    """
    real = getattr(viewer, "__wrapped__", viewer)
    session = _SESSIONS.get(real)
    if session is None or session.is_closed:
        session = _SESSIONS[real] = Session(engine_factory=engine_factory)
    return session
