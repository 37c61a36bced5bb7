"""The journals in a folder: which there are, of what kind, whose, and put away when they were seen."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_biofm.files import write_text
from napari_biofm.session.journal_files import FRESH_S, VERSION
from napari_biofm.session.processes import started, this_host
from napari_biofm.types import SessionError

KEEP = 10  # journals that ended in good order
HEAD, SEEN = "journal.json", "seen.json"
SESSION, LABELS_0_1, SESSION_0_1 = "session", "labels of version 0.1", "session of version 0.1"
DAMAGED = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True)
class Found:
    """A journal on disk.

    Attributes
    ----------
    folder : of the journal.
    kind : `SESSION`, `LABELS_0_1` or `SESSION_0_1`.
    closed : whether it ended in good order, or was seen by the user since.
    saved : seconds since the epoch when it was written last.
    about : its description.
    in_use : whether the process that writes it is still there.
    """

    folder: Path
    kind: str
    closed: bool
    saved: float
    about: dict[str, Any]
    in_use: bool


def find_journals(root: Path) -> list[Found]:
    """List the journals in a folder, latest first; unreadable ones are left out."""
    found = []
    for folder in root.glob("*"):
        with suppress(SessionError, OSError):
            one = look_at(folder)
            if one is not None:
                found.append(one)
    return sorted(found, key=lambda f: -f.saved)


def unsaved(root: Path | None) -> list[Found]:
    """Return the journals of sessions that ended without being closed, latest first."""
    return [] if root is None else [f for f in find_journals(root) if not f.closed and not f.in_use]


def settle(folder: Path) -> None:
    """Note that the user has seen a journal: it is not offered again, and pruned in its turn."""
    write_text(folder / SEEN, json.dumps({"seen": time.time()}))


def forget(folder: Path) -> None:
    """Delete a journal."""
    shutil.rmtree(folder, ignore_errors=True)


def prune_journals(root: Path, keep: int = KEEP) -> None:
    """Remove the oldest journals that ended in good order or were seen, so that `keep` of them stay."""
    ended = [f for f in find_journals(root) if f.closed and not f.in_use]
    for old in ended[keep:]:
        forget(old.folder)


def look_at(folder: Path) -> Found | None:
    """Return what a folder holds, None where it is no journal."""
    seen = (folder / SEEN).is_file()
    if (folder / HEAD).is_file():
        head = read_head(folder)
        if head["version"] == 1:
            alive = not head["closed"] and started(int(head["pid"])) is not None
            about = {"names": [head["about"].get("name", "labels")], **head["about"]}
            return Found(folder, LABELS_0_1, bool(head["closed"]) or seen, float(head["saved"]), about, alive)
        log = folder / f"log-{int(head['log'])}.jsonl"
        saved = max(float(head["saved"]), log.stat().st_mtime)
        in_use = not head["closed"] and _is_at_work(folder, head)
        about = {key: head.get(key) for key in ("host", "pid", "created", "names")}
        return Found(folder, SESSION, bool(head["closed"]) or seen, saved, about, in_use)
    name, _, pid = folder.name.rpartition("-")
    index = folder / "session.json"
    if index.is_file() and name and pid.isdigit():
        return Found(folder, SESSION_0_1, seen, index.stat().st_mtime, {}, started(int(pid)) is not None)
    return None


def _is_at_work(folder: Path, head: Mapping[str, Any]) -> bool:
    """Ask the table of processes where the journal is of this host, else look at the heartbeat."""
    if head["host"] == this_host():
        return head["started"] is not None and started(int(head["pid"])) == head["started"]
    try:
        beat = (folder / "heartbeat").stat().st_mtime
    except OSError:
        return False
    return abs(time.time() - beat) < FRESH_S


def read_head(folder: Path) -> dict[str, Any]:
    """Return the description of a journal; SessionError where it cannot be read."""
    path = folder / HEAD
    needed = {1: {"closed", "saved", "pid", "generation", "uid", "about"}}
    try:
        head = dict(json.loads(path.read_text(encoding="utf-8")))
        version = int(head["version"])
        good = needed.get(version, {"closed", "saved", "pid", "host", "started", "base", "log"}) <= set(head)
    except (OSError, *DAMAGED) as error:
        raise SessionError(f"{path}: no journal can be read here ({error}).") from error
    if version > VERSION:
        raise SessionError(
            f"{path}: a journal of version {version}; this program reads {VERSION}. Update it."
        )
    if not good:
        raise SessionError(f"{path}: not a journal of version {version}.")
    return head
