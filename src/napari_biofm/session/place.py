"""The place of a session on the disk: at every moment the former or the new one is whole there, whoever else saves."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_biofm.locks import locked

_PARTIAL, _OLD = ".partial", ".old"
_HERE = -100 if sys.platform == "linux" else -2  # AT_FDCWD: paths are as they are
_SWAP = 2  # RENAME_EXCHANGE, RENAME_SWAP


@contextmanager
def alone(folder: Path, index: str) -> Iterator[None]:
    """Keep other processes from saving and opening a session meanwhile; what a killed one left is put back first.

    Parameters
    ----------
    folder : of the session.
    index : name of the file that is in every session.
    """
    folder = Path(folder)
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            _put_back(folder, index)
        yield


def fresh_place(folder: Path) -> Path:
    """Return where a session is written before it takes the place of `folder`."""
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")


def put_in_place(fresh: Path, folder: Path) -> None:
    """Put a folder in the place of another, in one step where the system can; remove what is left of former tries."""
    if not folder.exists():
        fresh.rename(folder)
    elif _swapped(fresh, folder):
        shutil.rmtree(fresh, ignore_errors=True)
    else:
        old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{_OLD}")
        folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            old.rename(folder)
            raise
    for left in _left_over(folder, _PARTIAL, _OLD):
        shutil.rmtree(left, ignore_errors=True)


def remove_partial(fresh: Path) -> None:
    """Remove what was half-written, also where zarr's threads still write into it after one of them failed."""
    absent = 0 if fresh.exists() else 2  # it took its place: nothing is left to remove
    for _ in range(25):  # and no longer, where it cannot be removed
        if absent == 2:
            return
        shutil.rmtree(fresh, ignore_errors=True)
        time.sleep(0.02)
        absent = 0 if fresh.exists() else absent + 1


def _left_over(folder: Path, *endings: str) -> list[Path]:
    """Return what processes left beside a session that were killed while they saved it; the newest is last."""
    begin = f".{folder.name}."
    if not folder.parent.is_dir():
        return []
    there = [
        one
        for one in folder.parent.iterdir()
        if one.name.startswith(begin)
        and one.name.endswith(endings)
        and one.name.count(".") == begin.count(".") + 1
    ]
    return sorted(there, key=lambda one: one.stat().st_mtime)


def _put_back(folder: Path, index: str) -> None:
    """Put the former session back, where a process was killed between the two renames."""
    whole = [one for one in _left_over(folder, _OLD) if (one / index).is_file()]
    if whole:
        whole[-1].rename(folder)


def _swapped(a: Path, b: Path) -> bool:
    """Exchange two folders; False where the system or the disk cannot."""
    names = {"linux": "renameat2", "darwin": "renameatx_np"}
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), names[sys.platform])
    except (KeyError, OSError, AttributeError, TypeError):
        return False
    done = call(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _SWAP)
    return bool(done == 0)
