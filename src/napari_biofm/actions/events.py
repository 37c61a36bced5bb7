"""Events of a recording: all of them replaced, or some rows edited by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.events.review import RowChange
from napari_biofm.events.reviewed import BY_HAND, REVIEWED_DTYPE, EventTable, same_rows
from napari_biofm.events.table import as_dtype
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.packing import pack, unpack
from napari_biofm.types import EVENT_DTYPE, Events, SessionError

_ALWAYS = (*(EVENT_DTYPE.names or ()), "verdict", "class_before")


@dataclass(frozen=True, eq=False)
class SetEvents:
    """Another table of events, e.g. what a detector found.

    Attributes
    ----------
    recording : id in the session.
    before, after : the tables.
    name : what the user did.
    """

    kind: ClassVar[str] = "set events"
    recording: str
    before: EventTable
    after: EventTable
    name: str = "detect"

    @property
    def nbytes(self) -> int:
        return self.before.events.nbytes + self.after.events.nbytes

    def apply(self, state: SessionState) -> None:
        now = state.event_table(self.recording)
        if now is not self.before and not same_rows(now.events, self.before.events):
            raise SessionError(f"the events of '{self.recording}' are no longer those it was made on.")
        state.put_event_table(self.recording, self.after)

    def inverse(self) -> SetEvents:
        return SetEvents(self.recording, self.after, self.before, undone(self.name))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "recording": self.recording,
            "n_events": len(self.after.events),
            "before": table_to_json(self.before),
            "after": table_to_json(self.after),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        before, after = table_from_json(record["before"]), table_from_json(record["after"])
        return cls(str(record["recording"]), before, after, str(record["action"]))


@dataclass(frozen=True, eq=False)
class EditEvents:
    """Some rows of a table of events taken out, put in, or changed by hand.

    Attributes
    ----------
    recording : id in the session.
    edit : what the user did, as it is counted in the methods paragraph.
    change : the rows.
    counts : how often the edit counts: 1, -1 for its inverse, 0 for verdicts, which count themselves.
    """

    kind: ClassVar[str] = "edit events"
    recording: str
    edit: str
    change: RowChange
    counts: int = 1
    is_undo: bool = False

    @property
    def name(self) -> str:
        return undone(self.edit) if self.is_undo else self.edit

    @property
    def nbytes(self) -> int:
        return self.change.nbytes

    def apply(self, state: SessionState) -> None:
        table = state.event_table(self.recording)
        events = self.change.applied(table.events)
        provenance = dict(table.provenance)
        if self.counts:
            by_hand = dict(provenance.get(BY_HAND, {}))
            by_hand[self.edit] = by_hand.get(self.edit, 0) + self.counts
            if not by_hand[self.edit]:
                del by_hand[self.edit]
            provenance.pop(BY_HAND, None)
            if by_hand:
                provenance[BY_HAND] = by_hand
        state.put_event_table(self.recording, EventTable(events, provenance))

    def inverse(self) -> EditEvents:
        return replace(self, change=self.change.reversed(), counts=-self.counts, is_undo=not self.is_undo)

    def record(self) -> Record:
        change = self.change
        return {
            "kind": self.kind,
            "action": self.name,
            "edit": self.edit,
            "undo": self.is_undo,
            "counts": self.counts,
            "recording": self.recording,
            "removed_at": list(change.removed_at),
            "removed": _pack_events(change.removed),
            "added_at": list(change.added_at),
            "added": _pack_events(change.added),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        change = RowChange(
            tuple(int(i) for i in record["removed_at"]),
            _unpack_events(record["removed"]),
            tuple(int(i) for i in record["added_at"]),
            _unpack_events(record["added"]),
        )
        return cls(
            str(record["recording"]),
            str(record["edit"]),
            change,
            int(record["counts"]),
            bool(record["undo"]),
        )


def _pack_events(events: Events) -> dict[str, Any]:
    """Return a table by column: numbers packed, words as they are; columns that say nothing are left out."""
    columns: dict[str, Any] = {"n": len(events)}
    for name in REVIEWED_DTYPE.names or ():
        values = events[name]
        words = values.dtype.kind == "U"
        said = values != "" if words else np.isfinite(values)
        if name in _ALWAYS or said.any():
            columns[name] = values.tolist() if words else pack(values)
    return columns


def _unpack_events(columns: Mapping[str, Any]) -> Events:
    table = as_dtype(np.zeros(int(columns["n"]), EVENT_DTYPE), REVIEWED_DTYPE)
    for name in REVIEWED_DTYPE.names or ():
        dtype = REVIEWED_DTYPE[name]
        if name not in columns and name not in _ALWAYS:
            continue
        values = columns[name] if dtype.kind == "U" else unpack(columns[name], dtype)
        table[name] = np.asarray(values, dtype)
    return table


def table_to_json(table: EventTable) -> Record:
    """Return a table of events for the log, JSON-able."""
    return {"events": _pack_events(table.events), "provenance": dict(table.provenance)}


def table_from_json(values: Mapping[str, Any]) -> EventTable:
    """Return the table that `table_to_json` described; KeyError, TypeError or ValueError where it is damaged."""
    return EventTable(_unpack_events(values["events"]), dict(values["provenance"]))
