"""Edits of the events of one recording by hand, each an action of the session."""

from __future__ import annotations

from collections.abc import Sequence

from napari_biofm.actions import EditEvents
from napari_biofm.events import review
from napari_biofm.events.review import RowChange
from napari_biofm.events.reviewed import EventTable
from napari_biofm.session.session import Session
from napari_biofm.signals import Recording
from napari_biofm.types import Events


class EventEditor:
    """Changes the events of one recording; every call can be undone.

    Parameters
    ----------
    session : that holds the recording.
    uid : id of the recording.
    """

    def __init__(self, session: Session, uid: str) -> None:
        self._session = session
        self.uid = uid

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self._session.recordings[self.uid].recording

    @property
    def table(self) -> EventTable:
        """Its events with their provenance."""
        return self._session.event_table(self.uid)

    @property
    def events(self) -> Events:
        """Its events, of REVIEWED_DTYPE."""
        return self._session.events(self.uid)

    @property
    def review(self) -> list[str]:
        """One verdict per event, "" where nobody looked yet."""
        return [str(word) for word in self.events["verdict"]]

    def add(self, sweep: int, channel: int, time_s: float, name: str) -> int:
        """Add an event and return its row; see `review.add_event`."""
        change = review.add_event(self.events, self.recording, sweep, channel, time_s, name)
        self._do("add event", change)
        return change.added_at[0]

    def delete(self, rows: Sequence[int]) -> None:
        """Delete events."""
        self._do("delete events", review.delete_events(self.events, rows))

    def move(self, row: int, time_s: float) -> int:
        """Move an event in its sweep and return its row; see `review.move_event`."""
        change = review.move_event(self.events, self.recording, row, time_s)
        self._do("move event", change)
        return change.added_at[0]

    def reclass(self, rows: Sequence[int], name: str) -> None:
        """Give events another class."""
        self._do("reclass events", review.reclass_events(self.events, rows, name))

    def judge(self, rows: Sequence[int], verdict: str) -> None:
        """Accept, leave unclear, or reject events; "" takes a verdict back."""
        self._do(verdict or "take verdict back", review.judge_events(self.events, rows, verdict), counts=0)

    def _do(self, edit: str, change: RowChange, counts: int = 1) -> None:
        if len(change.removed) or len(change.added):
            self._session.do(EditEvents(self.uid, edit, change, counts))
