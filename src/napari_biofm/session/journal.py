"""What keeps a session when its window is killed: every edit on disk before anything else happens.

One journal per session, whichever docks are open. The state at one moment (the base) and all edits since make the
state at the end. Everything but masks is small and written at once when something comes or goes. The masks of a layer
are written slab by slab at the first edit that names the layer, while edits go on: edits of masks state values and are
replayed over it from the number of the edit at which the snapshot began; all others are replayed exactly once.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.actions.events import table_to_json
from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.session.journal_files import ROOM_AGAIN, JournalFiles
from napari_biofm.session.journal_parts import (
    LayersSource,
    layer_to_json,
    layers_named,
    masks_edited,
    small_state,
    write_masks,
)
from napari_biofm.session.parts import classes_to_json, recording_record, write_samples
from napari_biofm.session.saving import write_table
from napari_biofm.session.session import Session
from napari_biofm.session.snapshot import SavedLayer
from napari_biofm.types import SessionError, Task

if TYPE_CHECKING:
    from napari_biofm.signals import Recording

AT_ONCE = 1 << 24  # pixels up to which a snapshot of masks is written before the next edit
COMPACT_AFTER = 2000  # edits after which a fresh base makes recovery quick again
QUIET_S = 1.0  # so long masks or a table were left alone before they are written again


@dataclass(frozen=True)
class _Kept:
    """A file of the journal: its name, what it was made of, and the number of the edit it holds at least."""

    file: str
    source: Any
    seq: int


class Journal:
    """Writes what is done to one session into a folder of its own, from the first edit on.

    Parameters
    ----------
    session : whose edits are kept.
    root : folder of all journals.
    layers : the layers of the viewer.
    tell : shows what went wrong with the disk, once.
    """

    def __init__(
        self, session: Session, root: Path, layers: LayersSource, tell: Callable[[str], None]
    ) -> None:
        self._session, self._root, self._layers, self._tell = session, root, layers, tell
        self._files: JournalFiles | None = None
        self._seq = 0
        self._bases = self._logs = self._names = 0
        self._kept: dict[tuple[str, str], _Kept] = {}  # (kind of part, id) -> its file
        self._tasks: dict[
            str, tuple[str, int, Task[None]]
        ] = {}  # masks being written: file, seq, the writing
        self._changed: dict[tuple[str, str], float] = {}  # masks and tables to be written again, since when
        self._told_ids: dict[str, tuple[int, ...]] = {}  # of strokes whose `labels_edited` may still come
        self._carried: set[str] = set()  # layers whose edit the history is carrying out
        self._valid: set[str] = set()  # files that the base names
        self._base_is_due = False
        self._since_base = 0
        self._lost: list[dict[str, Any]] = []
        self._is_ill = False
        self._failures: set[str] = set()
        self._recordings = tuple(session.recordings)
        session.history.recorded.connect(self._recorded)
        session.labels_edited.connect(self._labels_edited)
        session.segmentation_changed.connect(self._segmented)
        session.cells_changed.connect(self._cells_changed)
        session.recordings_changed.connect(self._recordings_changed)
        session.layers_changed.connect(self.things_changed)
        session.log_begun.connect(self._log_begun)
        session.closed.connect(self.close)

    @property
    def folder(self) -> Path | None:
        """Folder of this journal, None before the first edit."""
        return None if self._files is None else self._files.folder

    @property
    def is_busy(self) -> bool:
        """Whether masks are being written."""
        return bool(self._tasks)

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was done so far is written."""
        return not (self._tasks or self._changed or self._base_is_due)

    # ------------------------------------------------------------------ what is heard

    def _recorded(self, record: dict[str, Any]) -> None:
        """Write an edit that was just made."""
        self._seq += 1
        named = layers_named(record)
        for uid in masks_edited(record) - self._carried:
            self._told_ids[uid] = tuple(
                record.get("labels", ())
            )  # made by a brush, and told once more after this
        self._carried -= masks_edited(record)
        self._guard(self._write, record, named)

    def _write(self, record: dict[str, Any], named: set[str]) -> None:
        if self._files is None:
            self._begin(self._session.log[:-1])
        assert self._files is not None
        what = {
            "n": self._seq,
            "action": record.get("action", ""),
            "of": sorted(named) or record.get("recording", ""),
        }
        try:
            self._files.append({"n": self._seq, "at": time.strftime("%Y-%m-%dT%H:%M:%S"), "record": record})
        except OSError:
            self._lost.append(what)
            self._files.tell_lost(self._lost)
            self._changed.update({("masks", uid): time.monotonic() for uid in named})
            raise
        for uid in named:
            if ("masks", uid) not in self._kept and uid not in self._tasks:
                self._begin_masks(uid)
        self._since_base += 1
        if self._since_base >= COMPACT_AFTER and not self._tasks:
            self._since_base = 0
            for uid in [key[1] for key in self._kept if key[0] == "masks"]:
                self._begin_masks(uid)
            self._base_is_due = True

    def things_changed(self, *_: Any) -> None:
        """Write soon what is small: a layer came, went or was renamed."""
        self._base_is_due = True

    def _labels_edited(self, uid: str, ids: Iterable[int] | None) -> None:
        if self._session.history.is_busy:
            self._carried.add(uid)
        elif ids is not None and self._told_ids.pop(uid, None) == tuple(ids):
            return  # what a brush did, which is in the log
        else:
            self._changed[("masks", uid)] = time.monotonic()

    def _segmented(self, uid: str) -> None:
        if not self._session.history.is_busy:
            self._changed[("masks", uid)] = time.monotonic() - QUIET_S

    def _cells_changed(self, uid: str) -> None:
        self._changed[("table", uid)] = time.monotonic()

    def _recordings_changed(self) -> None:
        now = tuple(self._session.recordings)
        if now != self._recordings:
            self._recordings = now
            if self._session.history.is_busy:
                self._base_is_due = True  # the edit that is under way has no number yet
            elif self._files is not None:
                self._guard(self._write_base)

    def _log_begun(self) -> None:
        """Go on with the log of the session that was opened."""
        if self._files is not None or self._session.log:
            self._guard(self._begin, self._session.log)

    # ------------------------------------------------------------------ steps

    def step(self) -> None:
        """Write one slab of masks, or what was left alone for a moment; called again and again."""
        for uid in list(self._tasks)[:1]:
            self._guard(self._go_on, uid)
        self._tell_failure()
        now = time.monotonic()
        for (kind, uid), since in list(self._changed.items()):
            if now - since < QUIET_S:
                continue
            del self._changed[(kind, uid)]
            if kind == "masks":
                self._guard(self._begin_masks, uid)
            elif self._files is not None:
                self._guard(self._write_table, uid)
        if self._base_is_due and self._files is not None:
            self._guard(self._write_base)
        elif self._is_ill and self._files is not None:
            self._guard(self._write_all)

    def _tell_failure(self) -> None:
        """Say what the thread of the journal could not write, once for each reason."""
        failure = None if self._files is None else self._files.failure
        if failure is not None and self._files is not None:
            self._files.failure = None
            words = f"{type(failure).__name__}: {failure}"
            if (
                not isinstance(failure, OSError) and words not in self._failures
            ):  # a full disk is told by the log
                self._failures.add(words)
                self._tell(f"A table cannot be kept for a recovery: {words}")

    def step_at_once(self) -> None:
        """Write what was changed without waiting until it is left alone."""
        for key in self._changed:
            self._changed[key] = -np.inf
        self.step()

    def finish(self) -> None:
        """Write all that is to be written, here and now."""
        self.step_at_once()
        while self._tasks:
            self.step()
        if self._files is not None:
            self._files.wait()
            self._guard(self._write_base)

    def close(self) -> None:
        """End the journal in good order."""
        files, self._files = self._files, None
        self._tasks.clear()
        self._changed.clear()
        if files is not None:
            files.close()

    # ------------------------------------------------------------------ writing

    def _begin(self, former: Iterable[dict[str, Any]]) -> None:
        """Begin the folder, or a fresh log in it that goes on from `former`, with all that is there now."""
        if self._files is None:
            self._files = JournalFiles(self._root)
            self._changed.update({("table", uid): time.monotonic() for uid in self._session.known_labels})
        self._logs += 1
        self._files.begin_log(self._logs, [{"n": 0, "record": entry} for entry in former])
        self._write_base()

    def _has_masks(self, uid: str) -> bool:
        return ("masks", uid) in self._kept or uid in self._tasks

    def _begin_masks(self, uid: str) -> None:
        """Begin to write the masks of a layer; the edits from now on are replayed over them."""
        if self._files is None:
            self._begin(self._session.log)
        assert self._files is not None
        source = self._layers.masks(uid) or self._session.labels_target(uid)
        if source is None:
            return
        file = self._name("masks", ".zarr")
        self._tasks[uid] = (file, self._seq, write_masks(source, self._files.folder / file))
        if int(np.prod(source.shape, dtype=np.int64)) <= AT_ONCE:
            while uid in self._tasks:
                self._go_on(uid)

    def _go_on(self, uid: str) -> None:
        file, seq, task = self._tasks[uid]
        try:
            next(task)
        except StopIteration:
            del self._tasks[uid]
            self._kept[("masks", uid)] = _Kept(file, None, seq)
            self._write_base()
        except SessionError:
            del self._tasks[uid]  # its layer is gone
        except OSError:
            del self._tasks[uid]
            self._changed[("masks", uid)] = time.monotonic() + 10 * QUIET_S  # once there may be room again
            raise

    def _write_table(self, uid: str) -> None:
        """Write a table of cells beside the hand; a copy, as predictions are written into it in place."""
        assert self._files is not None
        table, files, seq = self._session.cells(uid), self._files, self._seq
        if table is None:
            return
        name, copy = self._name("table", ".zarr"), table.copy()

        def write() -> None:
            part = files.folder / f".{name}"
            try:
                write_table(part, copy)
                os.replace(part, files.folder / name)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            self._kept[("table", uid)] = _Kept(name, None, seq)
            self._base_is_due = True

        files.beside(write)

    def _write_all(self) -> None:
        """Write everything anew after the disk was full; then nothing is missing any more."""
        assert self._files is not None
        self._files.append({"n": self._seq, "record": {"action": ROOM_AGAIN}})
        for uid in [key[1] for key in self._kept if key[0] == "masks"]:
            self._begin_masks(uid)
        self._write_base()
        self._is_ill = False
        self._lost.clear()
        self._files.tell_lost([])

    def _write_base(self) -> None:
        """Write what the session is now, apart from masks and tables, and make it the valid base."""
        assert self._files is not None
        session, files = self._session, self._files
        self._base_is_due, self._bases = False, self._bases + 1
        recordings = [self._recording(uid, e.recording) for uid, e in session.recordings.items()]
        layers = [self._layer(layer) for layer in self._known_layers()]
        base = {"seq": self._seq, "layers": layers, "recordings": recordings, **small_state(session)}
        name = files.write_json(f"base-{self._bases}.json", base)
        names = [layer["name"] for layer in layers if "masks" in layer]
        files.point_to(base=self._bases, names=[*names, *session.recordings])
        there = {record["uid"] for record in (*layers, *recordings)}
        for key in [key for key in list(self._kept) if key[1] not in there]:
            del self._kept[key]
        valid = {name, *(kept.file for kept in list(self._kept.values()))}
        files.beside(partial(files.remove, self._valid - valid))
        self._valid = valid

    def _known_layers(self) -> list[SavedLayer]:
        """Return the layers of the viewer, and those that only the session knows."""
        described = self._layers.described()
        uids = {layer.uid for layer in described}
        only_here = []
        for uid in sorted(self._session.known_labels - uids):
            target = self._session.labels_target(uid)
            only_here.append(SavedLayer(uid, "labels", uid, shape=() if target is None else target.shape))
        return [*described, *only_here]

    def _layer(self, layer: SavedLayer) -> dict[str, Any]:
        record = layer_to_json(layer)
        classes = self._session.classes(layer.uid)
        if classes != CellClasses():
            record["classes"] = classes_to_json(classes)
        for kind in ("masks", "table"):
            kept = self._kept.get((kind, layer.uid))
            if kept is not None:
                record[kind], record[f"{kind}_seq"] = kept.file, kept.seq
        return record

    def _recording(self, uid: str, recording: Recording) -> dict[str, Any]:
        assert self._files is not None
        folder = self._files.folder
        record: dict[str, Any] = {"uid": uid, **recording_record(recording, folder)}
        table = self._session.event_table(uid)
        record["events"] = self._part(
            "events", uid, table, ".json", lambda p: self._write_json(p, table_to_json(table))
        )
        if recording.path is None:
            record["samples"] = self._part(
                "samples", uid, recording, ".npz", partial(write_samples, recording=recording)
            )
        return record

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        assert self._files is not None
        self._files.write_json(path.name, content)

    def _part(self, kind: str, uid: str, source: Any, ending: str, write: Callable[[Path], None]) -> str:
        """Return the file of a part, written now unless it was made of the same before."""
        assert self._files is not None
        kept = self._kept.get((kind, uid))
        if kept is None or kept.source is not source:
            kept = _Kept(self._name(kind, ending), source, self._seq)
            write(self._files.folder / kept.file)
            self._kept[(kind, uid)] = kept
        return kept.file

    def _name(self, kind: str, ending: str) -> str:
        self._names += 1
        return f"{kind}-{self._names}{ending}"

    def _guard(self, write: Callable[..., None], *args: Any) -> None:
        """Write; a disk that is full or gone is told once, and the session goes on."""
        try:
            write(*args)
        except OSError as error:
            if not self._is_ill:
                self._is_ill = True
                where = self._root if self._files is None else self._files.folder
                self._tell(
                    f"Edits cannot be kept for a recovery in {where} ({error.strerror or error}). Free some space, or "
                    "save the session elsewhere; what is written there already stays."
                )
        except (SessionError, TypeError, ValueError) as error:
            self._tell(f"Something cannot be kept for a recovery: {error}")
