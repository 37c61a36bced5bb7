"""Keeps a journal of every labels layer that is edited, so that a killed window loses nothing that was
done.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

from napari_biofm.images.edit.journal import Journal, autosave_folder, find_journals, prune_journals, recover
from napari_biofm.images.edit.labels_edit import LabelsTarget
from napari_biofm.session import Session
from napari_biofm.types import SessionError, Task
from napari_biofm.widgets.annotate.geometry import matrix_of

AT_ONCE = 1 << 24  # pixels up to which the first snapshot is written before the next edit


class Autosave:
    """Writes the session's edits of labels to disk as they are made.

    Parameters
    ----------
    session : whose history is listened to.
    tell_error : shows what went wrong with the disk.
    folder : of all journals.
    """

    def __init__(
        self, session: Session, tell_error: Callable[[BaseException], None], folder: Path | None = None
    ) -> None:
        self._session = session
        self._tell_error = tell_error
        self.folder = folder or autosave_folder()
        self._journals: dict[str, Journal] = {}
        self._targets: dict[str, tuple[LabelsTarget, dict[str, Any]]] = {}
        self._snapshots: list[Task[None]] = []
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)
        session.history.recorded.connect(self._recorded)
        session.closed.connect(self.close)

    def watch(self, layer: Any, target: LabelsTarget, image: Any) -> None:
        """Keep the edits of a layer from its first edit on."""
        about = {
            "name": layer.name,
            "affine": matrix_of(layer).tolist(),
            "image": None if image is None else image.name,
            "image_path": None if image is None else str(image.source.path or ""),
        }
        self._targets[target.uid] = (target, about)

    def journal(self, uid: str) -> Journal | None:
        """Return the journal of a layer, None before its first edit."""
        return self._journals.get(uid)

    def close(self) -> None:
        """End all journals in good order."""
        with suppress(RuntimeError):  # at the end of the application Qt deletes the timer first
            self._timer.stop()
        for task in self._snapshots:
            try:
                for _ in task:
                    pass
            except SessionError:
                continue  # its layer is gone; the log of before is still valid
        self._snapshots.clear()
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()
        prune_journals(self.folder)

    def restart(self, uid: str) -> None:
        """Write a fresh snapshot after something else than an edit changed the labels."""
        if uid in self._journals:
            self._begin(self._journals[uid], self._targets[uid][0])

    def _recorded(self, record: Mapping[str, Any]) -> None:
        uid = record.get("layer")
        if "patches" not in record or uid not in self._targets:
            return
        try:
            self.start_now(uid)
            journal = self._journals[uid]
            journal.write(record)
            if journal.is_due:
                self._begin(journal, self._targets[uid][0])
        except (SessionError, OSError) as error:
            self._tell_error(error)

    def start_now(self, uid: str) -> None:
        """Begin the journal of a layer that is watched, if it has none yet."""
        if uid in self._journals:
            return
        target, about = self._targets[uid]
        name = time.strftime("%Y%m%d-%H%M%S-") + uuid.uuid4().hex[:6]
        self._journals[uid] = Journal(self.folder / name, target, about)
        self._begin(self._journals[uid], target)

    def _begin(self, journal: Journal, target: LabelsTarget) -> None:
        size = 1
        for n in target.shape:
            size *= n
        if size <= AT_ONCE:
            journal.start()
            return
        self._snapshots.append(journal.snapshot())
        self._step()
        self._timer.start()

    def _step(self) -> None:
        """Write one slab of a snapshot between two events of the window."""
        if not self._snapshots:
            self._timer.stop()
            return
        try:
            next(self._snapshots[0])
        except StopIteration:
            self._snapshots.pop(0)
        except SessionError as error:
            self._snapshots.pop(0)
            self._tell_error(error)


def unsaved(folder: Path | None = None) -> list[Any]:
    """Return the journals of windows that ended without closing them, latest first."""
    return [found for found in find_journals(folder) if not found.closed and not found.in_use]


def recover_layer(viewer: Any, folder: Path) -> Any:
    """Add the labels of a journal to the viewer, where they were, and return the layer."""
    got = recover(folder)
    name = f"{got.about.get('name', 'labels')} (recovered)"
    return viewer.add_labels(got.labels, name=name, affine=got.about.get("affine"))
