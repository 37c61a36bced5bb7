"""Teaching in the trace dock: marks of the session in, a taught head out, undo back to stock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_biofm.actions import UseDetector
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.jobs import MarkedSweep, teach
from napari_biofm.events.physio_fm.weights import STOCK, read_card
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.types import BiofmError, ModelError

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock

ENDING = "Taught events (*.safetensors)"
UNSURE = ("artefact", "rejected")


class Teaching:
    """Carries out what the teach panel asks for.

    Parameters
    ----------
    dock : whose panel is served.

    Attributes
    ----------
    head : what was taught and is in use, or None for the stock model.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        self.head: AdaptedHead | None = None
        panel = dock.teach_panel
        panel.teach.connect(self.teach)
        panel.find.connect(self.find)
        panel.stock.connect(lambda: self.use(None, "back to the stock model"))
        panel.save.connect(self._ask_save)
        panel.load.connect(self._ask_load)
        panel.scope_changed.connect(self.count)
        dock.listen(dock.session.events_changed, lambda _: self.count())
        dock.listen(dock.session.recordings_changed, self.count)
        dock.listen(dock.session.detector_changed, self._detector_changed)
        if dock.session.detector is not None:
            self._detector_changed()
        self.count()

    def marked(self, everywhere: bool, name: str = "") -> list[MarkedSweep]:
        """Return the judged events, sweep by sweep; `name` replaces the class of the accepted ones."""
        session, found = self._dock.session, []
        uids = list(session.recordings) if everywhere else [self._dock.uid] if self._dock.uid else []
        for uid in uids:
            if uid not in session.recordings:
                continue
            editor = EventEditor(session, uid)
            events, review = editor.events, np.array(editor.review, "U8")
            for sweep, channel in sorted({(int(e["sweep"]), int(e["channel"])) for e in events}):
                here = (events["sweep"] == sweep) & (events["channel"] == channel)
                yes = here & (review == "accept") & ~np.isin(events["class"], UNSURE)
                no = here & ((review == "reject") | np.isin(events["class"], UNSURE))
                if not yes.any():
                    continue
                names = [name or str(c) for c in events["class"][yes]]
                found.append(
                    MarkedSweep(
                        session.recordings[uid].recording, sweep, channel, events["time_s"][yes], tuple(names),
                        events["time_s"][no], events["time_s"][here & ~yes & ~no],
                    )
                )  # fmt: skip
        return found

    def count(self) -> None:
        """Say how many marks there are."""
        marked = self.marked(self._dock.teach_panel.everywhere)
        yes, no = (sum(len(v) for v in rows) for rows in zip(*((m.time_s, m.rejected_s) for m in marked))) \
            if marked else (0, 0)  # fmt: skip
        self._dock.teach_panel.show_marks(yes, no, len(marked))

    def teach(self, kind: str, name: str, everywhere: bool, beside: bool) -> None:
        """Refit on the marks in the worker."""
        dock = self._dock
        marked = self.marked(everywhere, name)
        if not marked:
            dock.tell("Accept some events first (key A), or double-click the trace where one is.")
            return
        panel = dock.teach_panel
        panel.teach_button.setEnabled(False)
        dock.run(
            teach, marked, kind, beside,
            name="Teach physio-FM",
            on_done=lambda head: self.use(head, f"teach {', '.join(head.classes)}"),
            on_end=self.count,
        )  # fmt: skip

    def use(self, head: AdaptedHead | None, name: str) -> None:
        """Use what was taught, or the stock model; can be undone."""
        session, plain = self._dock.session, None if head is None else head.to_plain()
        if plain != session.detector:
            session.do(UseDetector(name, session.detector, plain))

    def _detector_changed(self) -> None:
        """Show what is in use now, e.g. after an undo."""
        plain = self._dock.session.detector
        self.head = None if plain is None else AdaptedHead.from_plain(plain)
        self._dock.teach_panel.show_head(self.head)
        self._dock.events_panel.set_taught([] if self.head is None else self.head.classes)

    def find(self) -> None:
        """Look for events with what is in use."""
        panel = self._dock.events_panel
        kind = self.head.kind if self.head is not None else "auto"
        self._dock.events.detect("physio-fm", kind, panel.chosen_preset)

    # ------------------------------------------------------------------ files

    def save(self, path: Path) -> None:
        """Write what is in use; the JSON lies beside it."""
        if self.head is None:
            self._dock.tell("Nothing was taught yet.")
            return
        path = path.with_suffix(".safetensors")
        try:
            self.head.save(path)
        except OSError as error:
            self._dock.tell_error(ModelError(f"{path.name} could not be written: {error.strerror or error}."))
            return
        self._dock.tell(f"Written: {path.name} and {path.with_suffix('.json').name}.")

    def load(self, path: Path) -> None:
        """Use what was taught before, if it was taught on these stock weights."""
        try:
            head = AdaptedHead.load(path)
            if head.stock_sha256 != read_card(STOCK)["sha256"]:
                raise ModelError(f"{path.name} was taught on other stock weights; teach it again on these.")
        except BiofmError as error:
            self._dock.tell_error(error)
            return
        self.use(head, f"load {path.name}")

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self._dock, "Save what was taught", "taught.safetensors", ENDING
        )
        if path:
            self.save(Path(path))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._dock, "Load what was taught", "", ENDING)
        if path:
            self.load(Path(path))
