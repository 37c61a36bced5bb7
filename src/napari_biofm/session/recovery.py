"""What sessions left behind that ended without being closed, read back.

Reads the journals of `session.journal`, the journals of labels and the sessions saved by themselves that version 0.1
wrote. Whatever is damaged is told with its place and reason, and takes nothing else with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.actions import from_record
from napari_biofm.actions.clocks import clock_from_json
from napari_biofm.actions.events import table_from_json
from napari_biofm.actions.links import links_from_json
from napari_biofm.cells.table.classes import write_classes
from napari_biofm.events.reviewed import EventTable
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.images.edit.labels_edit import replay as replay_masks
from napari_biofm.selection import CellKey
from napari_biofm.session.journal_files import ROOM_AGAIN
from napari_biofm.session.journal_list import DAMAGED, HEAD, LABELS_0_1, SESSION_0_1, look_at, read_head
from napari_biofm.session.journal_parts import leaves, read_masks
from napari_biofm.session.parts import classes_from_json, part_inside, read_back
from napari_biofm.session.saving import load_session, read_table
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.session.state import State
from napari_biofm.types import BiofmError, SessionError


@dataclass(frozen=True)
class Recovered:
    """What a journal held.

    Attributes
    ----------
    saved : the session after all logged edits; `saved.log` holds their records.
    n_edits : number of edits replayed over the snapshots.
    missing : in words, what is not there and why; empty where all is.
    about : description of the journal.
    """

    saved: Saved
    n_edits: int
    missing: tuple[str, ...]
    about: dict[str, Any]


# ------------------------------------------------------------------ reading


def recover(folder: Path) -> Recovered:
    """Return the session of a journal, with every edit of its log that can be made again.

    Raises
    ------
    SessionError
        If the folder holds no journal, or its base is damaged.
    """
    found = look_at(folder)
    if found is None:
        raise SessionError(f"{folder / HEAD}: no journal can be read here (there is none).")
    if found.kind == SESSION_0_1:
        saved = load_session(folder)
        return Recovered(saved, len(saved.log), saved.warnings, {})
    if found.kind == LABELS_0_1:
        return _recover_labels(folder)
    return _Reading(folder).recovered()


class _Reading:
    """One journal being read: the base, then the log over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.head = read_head(folder)
        self.state = State()
        self.missing: list[str] = []
        self.failures: dict[str, list[str]] = {}  # what of -> why its edits could not be made again
        base = folder / f"base-{int(self.head['base'])}.json"
        try:
            self.base = json.loads(base.read_text(encoding="utf-8"))
            self.seq = int(self.base["seq"])
            self.layers = {
                layer.uid: (layer, record) for layer, record in map(self._layer, self.base["layers"])
            }
            for record in self.base["recordings"]:
                self._recording(record)
            self.state.put_links(frozenset(links_from_json(self.base["links"])))
            for uid, clock in self.base["clocks"].items():
                self.state.put_clock(str(uid), clock_from_json(clock))
            self.state.put_detector(self.base["detector"])
        except (OSError, BiofmError, *DAMAGED) as error:
            raise SessionError(f"{base}: the snapshot of the session is damaged ({error!r}).") from error

    def recovered(self) -> Recovered:
        """Replay the log and return the session."""
        name = f"log-{int(self.head['log'])}.jsonl"
        entries, problems = read_log(self.folder / name)
        self.missing += problems
        count = sum([self._replay(number, n, record) for number, n, record in entries])
        numbers = [n for _, n, _ in entries if n]
        self._tell_gaps(numbers)
        for what, reasons in self.failures.items():
            more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            self.missing.append(f"{what}: {reasons[0]}{more}.")
        return Recovered(self._saved(entries), count, tuple(self.missing), dict(self.head))

    # ------------------------------------------------------------------ base

    def _layer(self, record: Mapping[str, Any]) -> tuple[SavedLayer, Mapping[str, Any]]:
        uid, shape = str(record["uid"]), tuple(int(n) for n in record["shape"])
        if "masks" in record:
            try:
                masks = read_masks(_inside(self.folder, record["masks"]))
                self.state.targets[uid] = ArrayTarget(masks, uid)
            except SessionError as error:
                self.missing.append(f"The masks of '{record['name']}' are missing: {error}")
        if "classes" in record:
            self.state.classes[uid] = classes_from_json(record["classes"])
        layer = SavedLayer(
            uid=uid,
            kind=str(record["kind"]),
            name=str(record["name"]),
            path=str(record["path"]),
            placing=dict(record["placing"]),
            metadata=dict(record["metadata"]),
            shape=shape,
        )
        return layer, record

    def _recording(self, record: Mapping[str, Any]) -> None:
        uid = str(record["uid"])
        samples = _inside(self.folder, record["samples"]) if record.get("samples") else self.folder / "none"
        try:
            recording, warning = read_back(record, self.folder, samples)
        except BiofmError as error:
            self.missing.append(f"The recording '{uid}' is missing: {error}")
            return
        self.missing += [warning] if warning else []
        self.state.recordings[uid] = recording
        path = _inside(self.folder, record["events"])
        try:
            self.state.events[uid] = table_from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, *DAMAGED) as error:
            self.missing.append(f"The events of '{uid}' are missing: {path.name} is damaged ({error!r}).")
            self.state.events[uid] = EventTable()

    # ------------------------------------------------------------------ log

    def _replay(self, number: int, n: int, record: Mapping[str, Any]) -> int:
        """Make one edit of the log again where the snapshots do not hold it; return 1 if something was done."""
        done = 0
        for leaf in leaves(record):
            what = self._what(leaf)
            try:
                if "patches" in leaf:
                    done |= self._replay_masks(n, leaf)
                elif n > self.seq:
                    action = from_record(leaf)
                    if action is not None:
                        action.apply(self.state)
                        done = 1
            except (BiofmError, *DAMAGED) as error:
                reason = f"line {number} of the log, '{leaf.get('action', 'edit')}', cannot be done again ({error})"
                self.failures.setdefault(what, []).append(reason)
        return done

    def _replay_masks(self, n: int, leaf: Mapping[str, Any]) -> int:
        uid = str(leaf["layer"])
        target = self.state.targets.get(uid)
        if target is None:
            if n > self.seq:
                raise SessionError("there is no snapshot of its masks")
            return 0
        if n <= int(self.layers[uid][1].get("masks_seq", 0)):
            return 0
        return replay_masks([leaf], target, uid)

    def _what(self, leaf: Mapping[str, Any]) -> str:
        uid = str(leaf.get("layer", leaf.get("image", "")))
        if uid:
            name = self.layers[uid][0].name if uid in self.layers else uid
            return f"The {'masks' if 'patches' in leaf else 'clock' if 'image' in leaf else 'classes'} of '{name}'"
        return f"The recording '{leaf['recording']}'" if "recording" in leaf else "The session"

    def _tell_gaps(self, numbers: list[int]) -> None:
        """Say which edits were never written."""
        expected = self.seq + 1
        for n in sorted(n for n in numbers if n > self.seq):
            if n > expected:
                self.missing.append(f"Edits {expected} to {n - 1} of the session are not in the log.")
            expected = n + 1
        with suppress(OSError, ValueError):
            lost = json.loads((self.folder / "lost.json").read_text(encoding="utf-8").strip() or "[]")
            if lost:
                names = ", ".join(str(edit.get("action", "more before")) for edit in lost[:8])
                self.missing.append(f"The disk was full: {len(lost)} edits could not be written ({names}).")

    # ------------------------------------------------------------------ the whole

    def _saved(self, entries: list[tuple[int, int, dict[str, Any]]]) -> Saved:
        state, base = self.state, self.base
        layers, cells = [], {}
        for uid, (layer, record) in self.layers.items():
            target = state.targets.get(uid)
            if layer.kind == "labels" and target is None:
                continue  # nothing was ever done to it, or it is told already
            data = (
                None if target is None else np.asarray(target.read(tuple(slice(None) for _ in target.shape)))
            )
            layers.append(replace(layer, data=data))
            if "table" in record and self._is_of_these_masks(uid, int(record["table_seq"]), entries):
                with suppress(SessionError):  # it can be measured again
                    cells[uid] = read_table(_inside(self.folder, record["table"]))
                    write_classes(cells[uid], state.cell_classes(uid))
        events = {uid: table.events for uid, table in state.events.items()}
        return Saved(
            layers=tuple(layers),
            cells=cells,
            recordings=dict(state.recordings),
            events=events,
            provenance={uid: dict(table.provenance) for uid, table in state.events.items()},
            links=tuple(sorted(state.links)),
            clocks=dict(state.clocks),
            selection=tuple(CellKey(str(y), int(n)) for y, n in base["selection"]),
            time_s=float(base["time_s"]),
            image=base["image"],
            labels=base["labels"],
            classes=dict(state.classes),
            detector=state.detector,
            log=tuple(record for _, _, record in entries if record.get("action") != ROOM_AGAIN),
        )

    def _is_of_these_masks(
        self, uid: str, seq: int, entries: Iterable[tuple[int, int, dict[str, Any]]]
    ) -> bool:
        """Return whether no masks were edited since a table of cells was written."""
        if int(self.layers[uid][1].get("masks_seq", 0)) > seq:
            return False
        late = [record for _, n, record in entries if n > seq]
        return not any(
            "patches" in leaf and leaf["layer"] == uid for record in late for leaf in leaves(record)
        )


def read_log(path: Path) -> tuple[list[tuple[int, int, dict[str, Any]]], list[str]]:
    """Read a log: (line, number of the edit, record) of every line that can be read, and what cannot, in words.

    Raises
    ------
    SessionError
        If there is no log.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SessionError(f"{path}: the log cannot be read ({error}).") from error
    entries, problems = [], []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            entries.append((number, int(entry["n"]), {**_at(entry), **dict(entry["record"])}))
        except DAMAGED as error:
            if number == len(lines):
                problems.append(f"Line {number} of {path.name}, the last edit, was cut short and is lost.")
            else:
                problems.append(f"Line {number} of {path.name} is damaged and lost ({error}).")
    return entries, problems


def _at(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": entry["at"]} if "at" in entry else {}


def _inside(folder: Path, name: object) -> Path:
    return part_inside(folder, name, folder, "journal")


# ------------------------------------------------------------------ version 0.1


def _recover_labels(folder: Path) -> Recovered:
    """Read a journal of version 0.1: the labels of one layer and their edits."""
    head = read_head(folder)
    generation, uid, about = int(head["generation"]), str(head["uid"]), dict(head["about"])
    labels = read_masks(folder / f"labels-{generation}.zarr")
    path = folder / f"log-{generation}.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SessionError(f"{path}: the log cannot be read ({error}).") from error
    count, missing, log, target = 0, [], [], ArrayTarget(labels, uid)
    for number, line in enumerate(lines, 1):
        try:
            record = dict(json.loads(line)) if line else {}
            count += replay_masks([record], target, uid)
            log += [record] if record else []
        except (BiofmError, *DAMAGED) as error:
            missing.append(f"Line {number} of {path.name} is damaged and lost ({error}).")
    placing = {"affine": about["affine"]} if about.get("affine") is not None else {}
    name = str(about.get("name", "labels"))
    layer = SavedLayer(uid, "labels", name, data=labels, placing=placing, shape=labels.shape)
    return Recovered(Saved(layers=(layer,), labels=uid, log=tuple(log)), count, tuple(missing), about)
