"""Files that are whole or not there: written beside their place, and put there when they are finished."""

from __future__ import annotations

import csv
import json
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets begin to calculate at


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, with the same ending, that takes its place if nothing went wrong.

    Folders that are missing are made. What was at `path` before stays until the new file is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def plain_cell(value: Any) -> Any:
    """Return a value for a table in text: words that a spreadsheet would take for a formula get an apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def read_cell(text: str) -> str:
    """Return what `plain_cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


@contextmanager
def opened_csv(path: Path, kind: type[Exception]) -> Iterator[TextIO]:
    """Open a table in text for the `csv` module; bytes that are no text, and lines that are no CSV, raise `kind`.

    Parameters
    ----------
    path : the file, UTF-8 with or without a mark at its start.
    kind : what is raised, with file and remedy in its message.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise kind(f"{path} is no text in UTF-8 ({error.reason}); save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise kind(f"{path} is no readable CSV ({error}); save it as CSV UTF-8 again.") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as it is (line ends included), whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; numpy scalars, arrays and paths are allowed."""
    write_text(path, json.dumps(value, indent=2, default=plain_json) + "\n")


def plain_json(value: Any) -> Any:
    """Return numpy values as numbers and lists, anything else as text: what `json.dumps` takes as `default`."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


DAMAGED = (SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, EOFError, struct.error,
           NotImplementedError, OverflowError, RuntimeError)  # fmt: skip


def load_numpy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an `.npy` file; what numpy raises on a damaged one becomes a ValueError.

    Parameters
    ----------
    path : the file.
    mapped : whether it stays on the disk.

    Raises
    ------
    ValueError
        If it is no such file, or holds objects.
    """
    try:
        return np.asanyarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
    except DAMAGED as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error


@contextmanager
def numpy_archive(path: Path) -> Iterator[Any]:
    """Open an `.npz` file and close it whatever happens; what is raised on a damaged one becomes a ValueError.

    Parameters
    ----------
    path : the file.

    Raises
    ------
    ValueError
        If it is no such file, holds objects, or a part of it is damaged.
    """
    # the file is ours to close: numpy leaves it open where the archive is damaged
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                yield archive
        except DAMAGED as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error
