"""Events of the shown recording: found by a job, judged and corrected by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from psygnal import Signal

from napari_biofm.controllers.common.ports import Listen, RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events import DEFAULT_DETECTOR, make_detector
from napari_biofm.events.detect import detect_and_say, provenance_of
from napari_biofm.events.options import option_values, options_from_text
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.quality import DetectionQuality, detection_quality
from napari_biofm.events.recognising import KindChoice
from napari_biofm.events.review import match_verdicts
from napari_biofm.events.reviewed import reviewed, verdicts_of
from napari_biofm.session import Session
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels, skipped_channels
from napari_biofm.signals.export import QUALITY
from napari_biofm.types import BiofmError, DetectionSettings, Events, no_events

NEAR_S = 5e-3  # a found event this close to a mark is the marked one
T = TypeVar("T")


def _in_words(recording: Recording, events: Events, kinds: Mapping[int, KindChoice]) -> str:
    """Return what was found, what channels were taken for, and what was not searched."""
    said = [f"{len(events)} events found."]
    words = {kinds[c].text for c in sorted(kinds) if not kinds[c].given}
    if recording.is_cells or len(words) == 1:
        said += [f"Taken for {text}; choose another kind beside Detect." for text in sorted(words)[:1]]
    else:
        said += [
            f"{recording.channels[c].name} was taken for {kinds[c].text}."
            for c in sorted(kinds)[:6]
            if not kinds[c].given
        ]
    skipped = skipped_channels(recording, rejected=True)
    return " ".join([*said, *(f"{text[0].upper()}{text[1:]}." for text in skipped[:4])])


class _Request(NamedTuple):
    """What detection is asked for."""

    recording: Recording
    uid: str
    settings: DetectionSettings
    channels: list[int]
    head: AdaptedHead | None


class EventsController:
    """Detects, judges and edits events; every edit is an action of the session.

    Parameters
    ----------
    session : that holds them.
    shown : which recording is meant.
    channels : returns the channels that are drawn.
    run : runs the detection.
    listen : hears the session until the dock is gone.
    """

    changed = Signal(object)  # the events of the shown recording, of REVIEWED_DTYPE
    edited_row = Signal(int)  # where an added or moved event stands now
    history_changed = Signal(str, bool)  # what undo would take back, whether there is something to redo
    keep_asked = Signal(str)  # before verdicts would be lost; `answer` goes on
    busy = Signal(bool)
    assessed = Signal(str)  # how good detection is on the shown recording, a sentence per channel
    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        *,
        shown: Shown,
        channels: Callable[[], Sequence[int]],
        run: RunJob,
        listen: Listen,
    ) -> None:
        self._session, self._shown, self._channels, self._run = session, shown, channels, run
        self._asked: tuple[str, str, str, str] | None = None
        listen(session.events_changed, self._events_changed)
        listen(session.history.changed, self._history_changed)

    @property
    def events(self) -> Events:
        """The events of the shown recording; none where there is no recording."""
        uid = self._shown.uid
        return reviewed(no_events()) if uid is None else self._session.events(uid)

    def show(self) -> None:
        """Say what the events are and what can be undone, e.g. for another recording."""
        self.changed.emit(self.events)
        self._history_changed()
        uid = self._shown.uid
        noted = [] if uid is None else self._session.event_table(uid).provenance.get(QUALITY, [])
        self.assessed.emit("\n".join(noted))

    @property
    def searched(self) -> bool:
        """Whether a detector looked for the events of the shown recording."""
        uid = self._shown.uid
        return uid is not None and "detector" in self._session.event_table(uid).provenance

    def answer(self, keep: bool | None) -> None:
        """Go on with what was asked by `keep_asked`: keep what was said, discard it, or do nothing (None)."""
        asked, self._asked = self._asked, None
        if asked is not None and keep is not None:
            self.detect(*asked, keep=keep)

    def detect(
        self, detector: str, kind: str, preset: str, options: str = "", *, keep: bool | None = None
    ) -> None:
        """Look for events in all sweeps of the shown channels (of all cells).

        Parameters
        ----------
        detector, kind, preset : as in `napari-biofm events`.
        options : of the detector as a person types them, "name=value, name=value".
        keep : whether verdicts and events added by hand stay; None asks where there are some.
        """
        session, asked = self._session, self._request(detector, kind, preset, options)
        if asked is None:
            return
        recording, uid, settings, channels, head = asked
        provenance = provenance_of(detector, settings, channels, head)
        former = session.events(uid)
        judged = int((verdicts_of(former) != "").sum())
        if judged and keep is None and head is None:
            self._asked = (detector, kind, preset, options)
            self.keep_asked.emit(f"{judged} verdicts and events set by hand are in the table. Keep them?")
            return

        def put(found: tuple[Events, dict[int, KindChoice]]) -> None:
            events, kinds = found
            if uid not in session.recordings:
                return
            if kinds and settings.kind == "auto":
                provenance["kinds"] = {str(c): kinds[c].kind for c in sorted(kinds)[:64]}
            if judged and keep is not False:  # marks that taught stay marks
                events = match_verdicts(former, events, NEAR_S)
            session.set_events(uid, events, provenance)
            self.message.emit(_in_words(recording, events, kinds))

        self.busy.emit(True)
        self._run(
            detect_and_say, recording, detector, settings, channels, head=head,
            name=f"Find events in {uid}", on_done=put, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def assess(self, detector: str, kind: str, preset: str, options: str = "") -> None:
        """Measure how good detection is on the shown recording, with events hidden in it; see `detect`.

        What is found out is noted with the events of the recording, for the methods and what is exported.
        """
        session, asked = self._session, self._request(detector, kind, preset, options)
        if asked is None:
            return
        recording, uid, settings, channels, head = asked

        def put(found: list[DetectionQuality]) -> None:
            words = [one.sentence() for one in found]
            if uid in session.recordings and words:
                provenance = dict(session.event_table(uid).provenance) | {QUALITY: words}
                session.set_events(uid, session.events(uid), provenance, "note the quality of detection")
            self.assessed.emit("\n".join(words))

        self.busy.emit(True)
        self._run(
            detection_quality, recording, detector, settings, channels, head=head,
            name=f"Hide events in {uid}", on_done=put, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def _request(self, detector: str, kind: str, preset: str, options: str) -> _Request | None:
        """Return what is to be looked at and how; None where there is nothing, or an option is wrong (told)."""
        recording, uid, session = self._shown.recording, self._shown.uid, self._session
        if recording is None or uid is None:
            self.message.emit("Open a recording first: drag a file onto napari, or press Open.")
            return None
        try:
            settings = DetectionSettings(kind=kind, preset=preset, options=options_from_text(options))  # type: ignore[arg-type]
            option_values(make_detector(detector), settings)
        except BiofmError as error:
            self.failed.emit(error)
            return None
        channels = signal_channels(recording, rejected=True)  # a verdict can be taken back: events stay
        if not recording.is_cells:  # who shows nothing but a trigger or a pressure asks for it
            drawn = list(self._channels())
            channels = [c for c in channels if c in drawn] or drawn or channels
        head = None
        if detector == DEFAULT_DETECTOR and session.detector is not None:
            head = AdaptedHead.from_plain(session.detector)
        return _Request(recording, uid, settings, channels, head)

    # ------------------------------------------------------------------ edits by hand

    def add(self, sweep: int, channel: int, time_s: float, name: str) -> None:
        """Add an event of a class."""
        row = self._edit(lambda editor: editor.add(sweep, channel, time_s, name))
        if row is not None:
            self.edited_row.emit(row)

    def move(self, row: int, time_s: float) -> None:
        """Move an event in its sweep; the table stays sorted."""
        now = self._edit(lambda editor: editor.move(row, time_s))
        if now is not None:
            self.edited_row.emit(now)

    def judge(self, rows: Sequence[int], verdict: str) -> None:
        """Accept, leave unclear or reject events."""
        self._edit(lambda editor: editor.judge(rows, verdict))

    def delete(self, rows: Sequence[int]) -> None:
        """Delete events."""
        self._edit(lambda editor: editor.delete(rows))

    def reclass(self, rows: Sequence[int], name: str) -> None:
        """Give events another class."""
        self._edit(lambda editor: editor.reclass(rows, name))

    def undo(self) -> None:
        """Take the last edit of the session back."""
        self._session.undo()

    def redo(self) -> None:
        """Do again what was undone last."""
        self._session.redo()

    def _edit(self, edit: Callable[[EventEditor], T]) -> T | None:
        uid = self._shown.uid
        if uid is None:
            return None
        try:
            return edit(EventEditor(self._session, uid))
        except BiofmError as error:
            self.failed.emit(error)
            return None

    def _events_changed(self, uid: str) -> None:
        if uid == self._shown.uid:
            self.show()

    def _history_changed(self) -> None:
        self.history_changed.emit(self._session.history.undo_name, self._session.history.can_redo)
