"""Which recording of the session is shown: chosen, closed, put right, and where its time stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from napari_biofm.actions import SetUnit
from napari_biofm.controllers.common.ports import Listen
from napari_biofm.session import Pointed, Session
from napari_biofm.signals import Recording, read_part
from napari_biofm.signals.recorded import NOTES
from napari_biofm.timeline import clock_of, recording_time, session_time
from napari_biofm.types import BiofmError


class RecordingsController:
    """Follows the recordings of a session and shows one of them.

    Parameters
    ----------
    session : that holds them.
    listen : hears the session until the dock is gone.
    add : puts a recording that was read into the session under a name and returns its id.
    read : reads a file; None where the user gives up.

    Attributes
    ----------
    uid : of the recording that is shown, or None.
    """

    shown = Signal(bool)  # another recording, or (True) the same with other units or names
    listed = Signal(list)  # ids of the recordings there are
    time_moved = Signal(float)  # the session's time in seconds of the shown recording
    failed = Signal(object)
    noted = Signal(str)  # what the user should know of a file that was opened

    def __init__(
        self,
        session: Session,
        *,
        listen: Listen,
        add: Callable[[Recording, str | None], str],
        read: Callable[[Path], Recording | None],
    ) -> None:
        self._session, self._add, self._read = session, add, read
        self._known: list[str] = []
        self._drawn: Recording | None = None
        self.uid: str | None = None
        listen(session.recordings_changed, self.update)
        listen(session.time_changed, lambda _: self.place_time())
        listen(session.clocks_changed, self.place_time)

    @property
    def recording(self) -> Recording | None:
        """The recording that is shown."""
        entry = self._session.recordings.get(self.uid) if self.uid is not None else None
        return None if entry is None else entry.recording

    def update(self) -> None:
        """Follow the session: a new recording is shown, and the latest where the shown one was closed."""
        former, self._known = self._known, list(self._session.recordings)
        newest = self._known[-1] if self._known else None
        if self.uid not in self._known or newest not in former:
            self.show(newest)
            return
        self.listed.emit(self._known)
        if self._drawn is not self.recording:
            self._drawn = self.recording
            self.shown.emit(True)

    def show(self, uid: str | None) -> None:
        """Show a recording of the session, or none."""
        self.uid, self._known = uid, list(self._session.recordings)
        self._drawn = self.recording
        self.listed.emit(self._known)
        self.shown.emit(False)

    def open(self, path: Path) -> None:
        """Read a file and show it."""
        try:
            recording = self._read(path)
        except BiofmError as error:
            self.failed.emit(error)
            return
        if recording is not None:
            self.show(self._add(recording, None))
            if recording.metadata.get(NOTES):
                self.noted.emit(" ".join(recording.metadata[NOTES]))

    def open_part(self, number: int) -> None:
        """Show another part of the shown recording's file; it becomes a recording of its own."""
        recording = self.recording
        if recording is None or number == recording.metadata.get("part"):
            return
        try:
            part = read_part(recording, number)
        except BiofmError as error:
            self.failed.emit(error)
            return
        name = f"{part.name}: {part.metadata['parts'][number]}"
        self.show(name if name in self._session.recordings else self._add(part, name))

    def close(self) -> None:
        """Take the shown recording out of the session."""
        if self.uid is not None:
            self._session.remove_recording(self.uid)

    def set_unit(self, channel: int, unit: str, factor: float = 1.0) -> None:
        """Put a channel's unit (and scale) right, as an edit that can be undone."""
        recording, uid = self.recording, self.uid
        if recording is None or uid is None or (recording.channels[channel].unit == unit and factor == 1.0):
            return
        self._session.do(SetUnit(uid, channel, unit, factor=factor))

    # ------------------------------------------------------------------ time

    def place_time(self) -> None:
        """Say where the session's time stands in the shown recording."""
        recording, seconds = self.recording, self._session.time_s
        if recording is not None:
            seconds = recording_time(recording, seconds, clock_of(recording, self._session.clocks.values()))
        self.time_moved.emit(seconds)

    def set_time(self, seconds: float) -> None:
        """Move the session's time to a time of the shown recording."""
        recording = self.recording
        if recording is not None:
            self._session.set_time(
                session_time(recording, seconds, clock_of(recording, self._session.clocks.values()))
            )

    def point_at(self, row: int) -> None:
        """Say which event the mouse is on; -1 where it is on none."""
        self._session.point_at(Pointed(self.uid, row) if self.uid is not None and row >= 0 else None)
