"""Teaching physio-FM: marks of the session in, a taught head out, undo back to the stock model."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from napari_biofm.actions import UseDetector
from napari_biofm.controllers.common.ports import Listen, RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.jobs import MarkedSweep, marked_sweeps, teach
from napari_biofm.events.physio_fm.weights import STOCK, read_card
from napari_biofm.session import Session
from napari_biofm.types import BiofmError, ModelError


class Teaching:
    """Teaches a head from judged events and puts it in use.

    Parameters
    ----------
    session : whose events are the marks, and whose detector is taught.
    shown : the recording whose marks are meant.
    run : runs the teaching.
    listen : hears the session until the dock is gone.

    Attributes
    ----------
    head : what was taught and is in use, or None for the stock model.
    everywhere : whether the marks of all recordings are meant.
    """

    marks_counted = Signal(int, int, int)  # accepted, rejected, sweeps
    head_changed = Signal(object)  # AdaptedHead, None for the stock model
    started = Signal()
    message = Signal(str)
    failed = Signal(object)

    def __init__(self, session: Session, *, shown: Shown, run: RunJob, listen: Listen) -> None:
        self._session, self._shown, self._run = session, shown, run
        self.head: AdaptedHead | None = None
        self.everywhere = False
        listen(session.events_changed, lambda _: self.count())
        listen(session.recordings_changed, self.count)
        listen(session.detector_changed, self.show_head)

    @property
    def kind(self) -> str:
        """The kind of recordings that what is in use was taught on, "auto" for the stock model."""
        return "auto" if self.head is None else self.head.kind

    def marked(self, name: str = "") -> list[MarkedSweep]:
        """Return the judged events, sweep by sweep; `name` replaces the class of the accepted ones."""
        entries, uid = self._session.recordings, self._shown.uid
        if not self.everywhere:
            entries = {uid: entries[uid]} if uid in entries else {}
        return [m for entry in entries.values() for m in marked_sweeps(entry.recording, entry.events, name)]

    def set_everywhere(self, everywhere: bool) -> None:
        """Take the marks of all recordings, or of the shown one only."""
        self.everywhere = everywhere
        self.count()

    def count(self) -> None:
        """Say how many marks there are."""
        marked = self.marked()
        accepted, rejected = sum(len(m.time_s) for m in marked), sum(len(m.rejected_s) for m in marked)
        self.marks_counted.emit(accepted, rejected, len(marked))

    def teach(self, kind: str, name: str, beside: bool) -> None:
        """Refit on the marks in the worker; the result can be taken back by undo."""
        marked = self.marked(name)
        if not marked:
            self.message.emit("Accept some events first (key A), or double-click the trace where one is.")
            return
        self.started.emit()
        self._run(
            teach, marked, kind, beside, name="Teach physio-FM",
            on_done=lambda head: self.use(head, f"teach {', '.join(head.classes)}"), on_end=self.count,
        )  # fmt: skip

    def use(self, head: AdaptedHead | None, name: str) -> None:
        """Use what was taught, or the stock model; can be undone."""
        session, plain = self._session, None if head is None else head.to_plain()
        if plain != session.detector:
            session.do(UseDetector(name, session.detector, plain))

    def use_stock(self) -> None:
        """Use the stock model again."""
        self.use(None, "back to the stock model")

    def show_head(self) -> None:
        """Say what is in use now, e.g. after an undo."""
        plain = self._session.detector
        self.head = None if plain is None else AdaptedHead.from_plain(plain)
        self.head_changed.emit(self.head)

    def save(self, path: Path) -> None:
        """Write what is in use; the JSON lies beside it."""
        if self.head is None:
            self.message.emit("Nothing was taught yet.")
            return
        path = path.with_suffix(".safetensors")
        try:
            self.head.save(path)
        except OSError as error:
            self.failed.emit(ModelError(f"{path.name} could not be written: {error.strerror or error}."))
            return
        self.message.emit(f"Written: {path.name} and {path.with_suffix('.json').name}.")

    def load(self, path: Path) -> None:
        """Use what was taught before, if it was taught on these stock weights."""
        try:
            head = AdaptedHead.load(path)
            if head.stock_sha256 != read_card(STOCK)["sha256"]:
                raise ModelError(f"{path.name} was taught on other stock weights; teach it again on these.")
        except BiofmError as error:
            self.failed.emit(error)
            return
        self.use(head, f"load {path.name}")
