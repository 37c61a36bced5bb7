"""The journal of a viewer's session: begun with the session, whichever docks are open."""

from __future__ import annotations

import importlib
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.session import Session
from napari_biofm.session.journal import Journal
from napari_biofm.session.journal_files import autosave_folder
from napari_biofm.session.journal_list import prune_journals

STEP_MS = 500  # between looks at what is to be written
READY_MS = 3000  # after the start, when the docks are there


class Autosave(QObject):
    """Writes everything that is done in one viewer to disk.

    Parameters
    ----------
    session : of the viewer.
    viewer : napari viewer; held weakly.
    root : folder of all journals.
    """

    def __init__(self, session: Session, viewer: Any, root: Path) -> None:
        super().__init__()
        self.layers = ViewerLayers(viewer)
        self.journal = Journal(session, root, self.layers, self._tell)
        self._timer = QTimer(self)
        self._timer.setInterval(STEP_MS)
        self._timer.timeout.connect(self.step)
        self._timer.start()
        events = self.layers.viewer.layers.events
        events.inserted.connect(self._layers_changed)
        events.removed.connect(self._layers_changed)
        events.renamed.connect(self._layers_changed)
        session.closed.connect(self.stop)
        prune_journals(root)
        QTimer.singleShot(READY_MS, _get_ready)

    def step(self) -> None:
        """Write a part of what is to be written."""
        self.journal.step()
        self._timer.setInterval(0 if self.journal.is_busy else STEP_MS)

    def stop(self) -> None:
        """Look no longer."""
        with suppress(RuntimeError):  # at the end of the application Qt deletes the timer first
            self._timer.stop()

    def _layers_changed(self, event: Any = None) -> None:
        self.journal.things_changed()

    def _tell(self, message: str) -> None:
        from napari.utils.notifications import show_warning

        show_warning(message)


def _get_ready() -> None:
    """Import what the first snapshot needs on a thread: it takes a second, which the first edit would wait for."""
    threading.Thread(
        target=importlib.import_module, args=("zarr",), name="biofm-autosave", daemon=True
    ).start()


_AUTOSAVES: weakref.WeakKeyDictionary[Session, Autosave] = weakref.WeakKeyDictionary()


def start_autosave(session: Session, viewer: Any) -> None:
    """Keep what is done in a viewer, unless that is switched off."""
    root = autosave_folder()
    if root is not None and session not in _AUTOSAVES:
        _AUTOSAVES[session] = Autosave(session, viewer, root)


def autosave_of(session: Session) -> Autosave | None:
    """Return what keeps a session, None where that is switched off."""
    return _AUTOSAVES.get(session)
