"""Saving and opening sessions, recovering them, and writing NWB: for any dock or menu. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from psygnal import Signal

from napari_biofm.api.sessions import saved_session
from napari_biofm.controllers.common.recent_sessions import remember_session
from napari_biofm.session import Session
from napari_biofm.session.journal_list import settle
from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.recovery import recover
from napari_biofm.session.saving import SessionWriter
from napari_biofm.session.snapshot import Saved, SavedLayer, restore, snapshot
from napari_biofm.signals.curation import choose_cells
from napari_biofm.signals.nwb_about import NwbAbout, about_of
from napari_biofm.types import BiofmError

RECOVERED = " (recovered)"  # behind the names of labels, to tell them from those of a file


class LayersOfSessions(Protocol):
    """The layers of a viewer, as far as sessions must know them."""

    def saved(self) -> list[SavedLayer]:
        """Return images and labels, labels with a copy of their pixels."""
        ...

    def put(self, saved: Saved, suffix: str = "") -> tuple[dict[str, str], list[str]]:
        """Bring saved layers back; return ids now by ids when saved, and what the user should know."""
        ...


class Writer(Protocol):
    """Runs writing to disk beside the window."""

    def run(
        self,
        write: Callable[[], Any],
        done: Callable[[], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Call `write`, then `done` or `failed`."""
        ...

    def wait(self) -> None:
        """Return when what was handed over is written."""
        ...


@dataclass(frozen=True)
class Opened:
    """What was opened: `layers` are ids now by ids when saved, `warnings` what the user should know."""

    saved: Saved
    layers: dict[str, str]
    warnings: tuple[str, ...]


class SessionFiles:
    """Files of one session.

    Parameters
    ----------
    session : of a viewer.
    layers : of the viewer.
    writer : where the writing runs.
    """

    told = Signal(str)  # what is going on, or was done
    failed = Signal(object)  # the exception
    opened = Signal(object)  # Opened

    def __init__(self, session: Session, layers: LayersOfSessions, writer: Writer) -> None:
        self._session, self._layers, self.writer = session, layers, writer
        self._folder: SessionWriter | None = None

    @property
    def folder(self) -> Path | None:
        """Where the session was saved last, None where it was not yet."""
        return None if self._folder is None else self._folder.folder

    def taken(self) -> Saved:
        """Return what lasts of the session, apart from what may still be changed in place."""
        saved = snapshot(self._session, self._layers.saved())
        return replace(saved, cells={uid: table.copy() for uid, table in saved.cells.items()})

    def save_to(self, folder: Path) -> None:
        """Have the session saved beside the window."""
        if self._folder is None or self._folder.folder != folder:
            self._folder = SessionWriter(folder)
        save = self._folder.save

        def write(saved: Saved) -> None:
            save(saved)
            remember_session(folder)

        self._write("Saving to", "Saved to", "Not saved.", folder, write)

    @property
    def known_about(self) -> NwbAbout:
        """What NWB files of the session's recordings say of the experiment and the animal."""
        return about_of(*(entry.recording for entry in self._session.recordings.values()))

    def export_nwb(self, path: Path, about: NwbAbout | None = None) -> None:
        """Have the session written as NWB beside the window; `about` is said of the experiment and the animal."""
        entries = self._session.recordings
        chosen = {uid: choose_cells(entry.recording, rejected=True).said for uid, entry in entries.items()}
        rejected = " ".join(f"{uid}: {said} (column accepted)." for uid, said in chosen.items() if said)
        self._write(
            "Exporting to",
            f"{rejected} Exported to".strip(),
            "Not exported.",
            path,
            lambda saved: write_nwb(path, saved, about=about),
        )

    def open_from(self, folder: Path) -> bool:
        """Open a saved session, or the NWB file of one, into this viewer; return whether that worked."""
        self.writer.wait()
        try:
            saved = saved_session(folder)
            opened = self._restore(saved)
        except BiofmError as error:
            self.failed.emit(error)
            return False
        if folder.is_dir():
            remember_session(folder)
        self.told.emit(" ".join([f"Opened {folder}.", *opened.warnings]))
        self.opened.emit(opened)
        return True

    def recover(self, folder: Path) -> Opened | None:
        """Bring back the session of a journal; None where nothing of it can be read."""
        try:
            recovered = recover(folder)
            saved = replace(recovered.saved, warnings=(*recovered.saved.warnings, *recovered.missing))
            former = self._session.log
            opened = self._restore(replace(saved, log=(*former, *saved.log)), RECOVERED)
        except BiofmError as error:
            self.failed.emit(error)
            return None
        for layer in saved.layers:
            if layer.kind == "labels" and layer.uid in opened.layers:
                self._session.labels_changed_outside(opened.layers[layer.uid])  # so that they are kept again
        settle(folder)
        self.told.emit(" ".join([f"Recovered {len(recovered.saved.log)} edits.", *opened.warnings]))
        self.opened.emit(opened)
        return opened

    def _restore(self, saved: Saved, suffix: str = "") -> Opened:
        layers, problems = self._layers.put(saved, suffix)
        restore(self._session, saved, layers)
        return Opened(saved, layers, (*saved.warnings, *problems))

    def _write(
        self, begun: str, done: str, not_done: str, place: Path, write: Callable[[Saved], Any]
    ) -> None:
        saved = self.taken()
        self.told.emit(f"{begun} {place} ...")

        def fail(error: BaseException) -> None:
            self.told.emit(not_done)
            self.failed.emit(error)

        self.writer.run(lambda: write(saved), lambda: self.told.emit(f"{done} {place}."), fail)
