"""Files that are whole or not there: written beside their place, and put there when they are finished."""

from __future__ import annotations

import csv
import filecmp
import json
import mmap
import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from napari_biofm.sizes import check_npy, check_size
from napari_biofm.types import BiofmError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets begin to calculate at


class _Keeping:
    """Which former results are kept while a verb runs.

    Parameters
    ----------
    outputs : files and folders the user asked for.
    tell : what is called with a line for a person.
    """

    def __init__(self, outputs: Sequence[Path], tell: Callable[[str], None]) -> None:
        self._outputs = [path.resolve() for path in outputs]
        self._tell = tell
        self._seen: set[Path] = set()  # what this run has written itself
        self._numbers: dict[Path, int] = {}

    def holds(self, path: Path) -> bool:
        """Tell whether a path is a result, lies in one, or is named after one beside it; once per path."""
        whole = path.resolve()
        if whole in self._seen:
            return False
        self._seen.add(whole)
        return any(
            whole.is_relative_to(one) or (whole.parent == one.parent and whole.name.startswith(_begin(one)))
            for one in self._outputs
        )

    def keep(self, fresh: Path, former: Path) -> bool:
        """Give a former file a second, numbered name, unless the fresh one equals it; tell whether it does."""
        if not former.is_file():
            return False
        if filecmp.cmp(fresh, former, shallow=False):
            return True
        self._number(former, lambda kept: _second_name(former, kept))
        return False

    def keep_folder(self, fresh: Path, former: Path) -> None:
        """Give the former files of a folder a numbered folder if a fresh one of the same name differs."""
        both = [one.name for one in fresh.iterdir() if (former / one.name).is_file()]
        if all(filecmp.cmp(fresh / name, former / name, shallow=False) for name in both):
            return

        def fill(kept: Path) -> None:
            kept.mkdir()
            for name in both:
                _second_name(former / name, kept / name)

        self._number(former, fill)

    def _number(self, former: Path, make: Callable[[Path], None]) -> None:
        """Take the first number that is free; files of one result, which begin alike, get the same."""
        stem, ending = _stem_and_ending(former)
        whole = former.resolve().parent / _begin(former)
        number = self._numbers.get(whole, 0)
        while True:
            while not number or any(
                one.name.startswith(whole.name) and _stem_and_ending(one)[0].endswith(f" ({number})")
                for one in former.parent.iterdir()
                if whole not in self._numbers
            ):
                number += 1
            kept = former.with_name(f"{stem} ({number}){ending}")
            try:
                make(kept)
            except FileExistsError:  # another process took it
                self._numbers.pop(whole, None)
                continue
            self._numbers[whole] = number
            self._tell(f"{former.name} held another result, which is kept as {kept.name}")
            return


def _begin(path: Path) -> str:
    """Return a name up to its first ending."""
    return path.name[: len(path.name) - len("".join(path.suffixes))] or path.name


def _stem_and_ending(path: Path) -> tuple[str, str]:
    """Return a name without its ending, and the ending, which may have two parts."""
    two = path.suffixes[-2:-1] in ([".ome"], [".nii"])
    ending = "".join(path.suffixes[-2:]) if two else path.suffix
    return path.name[: len(path.name) - len(ending)], ending


def _second_name(former: Path, kept: Path) -> None:
    """Make `kept` the same file as `former`; a copy where the disk knows no links.

    Raises
    ------
    FileExistsError
        If there is something at `kept`.
    """
    try:
        os.link(former, kept)
    except FileExistsError:
        raise
    except OSError:
        with kept.open("xb") as out, former.open("rb") as source:
            shutil.copyfileobj(source, out)


_keeping: _Keeping | None = None


@contextmanager
def keeping_former(outputs: Sequence[Path], tell: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, results that would be replaced by others are kept under a numbered name.

    Parameters
    ----------
    outputs : files and folders asked for; what is named after one, beside it, belongs to it.
    tell : what is called with a line for a person when something was kept.
    """
    global _keeping
    before, _keeping = _keeping, _Keeping(outputs, tell)
    try:
        yield
    finally:
        _keeping = before


def put_folder(fresh: Path, folder: Path) -> None:
    """Put the files of a folder in the place of those of the same names in `folder`; other files stay.

    What was there is kept where `keeping_former` asks for it.
    """
    fresh.chmod(0o755)
    if not folder.exists():
        fresh.replace(folder)
        return
    if _keeping is not None and _keeping.holds(folder):
        _keeping.keep_folder(fresh, folder)
    for path in fresh.iterdir():
        path.replace(folder / path.name)
    fresh.rmdir()


@contextmanager
def atomic_write(path: Path, *, result: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`, with the same ending, that takes its place if nothing went wrong.

    Folders that are missing are made. What was at `path` before stays until the new file is complete; where
    `keeping_former` asks for it, it stays under another name.

    Parameters
    ----------
    path : where the file goes.
    result : False for files that only serve to go on later; those are never kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        same = result and _keeping is not None and _keeping.holds(path) and _keeping.keep(temporary, path)
        if not same:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def plain_cell(value: Any) -> Any:
    """Return a value for a table in text: words that a spreadsheet would take for a formula get an apostrophe."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


class CsvWriter:
    """Writes tables in text, lines ended by a line feed; words that a spreadsheet would calculate get an apostrophe.

    Parameters
    ----------
    out : where the text goes, opened with `newline=""`.
    """

    def __init__(self, out: TextIO) -> None:
        self._writer = csv.writer(out, lineterminator="\n")

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row; numbers, also those in text, stay as they are."""
        self._writer.writerow([_safe(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)


def _safe(value: object) -> object:
    return value if isinstance(value, str) and _is_number(value) else plain_cell(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def check_map(array: Any) -> None:
    """Raise if the file behind a memory-mapped array is shorter than it was: reading there would end the process.

    Parameters
    ----------
    array : a memory map, a view of one, or any other array-like, which passes.

    Raises
    ------
    BiofmError
        If somebody cut the file.
    """
    base, pages = array, getattr(array, "_mmap", None)
    while not isinstance(pages, mmap.mmap):
        base = getattr(base, "base", None)
        if base is None:
            return
        pages = getattr(base, "_mmap", None)
    begin = base.offset - base.offset % mmap.ALLOCATIONGRANULARITY
    size, needed = pages.size(), begin + len(pages)
    if size < needed:
        name = Path(str(base.filename)).name
        raise BiofmError(
            f"{name} became shorter while it was open ({size} of {needed} bytes are left); open it again when it is whole."
        )


class MappedArray(np.memmap[Any, Any]):
    """A memory-mapped array that is not read where its file was cut meanwhile."""

    def __getitem__(self, index: Any) -> Any:
        check_map(self)
        return super().__getitem__(index)


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
        If it is no such file, holds objects, or claims more than it stores.
    """
    try:
        with path.open("rb") as file:
            check_npy(file, path.name, path.stat().st_size)
        values = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return values.view(MappedArray) if isinstance(values, np.memmap) else np.asanyarray(values)
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
        If it is no such file, holds objects, a part of it is damaged or claims more than it stores, or all of them would
        fill the memory.
    """
    # the file is ours to close: numpy leaves it open where the archive is damaged
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                _check_archive(archive.zip)
                yield archive
        except DAMAGED as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error


def _check_archive(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    check_size("it", sum(one.file_size for one in parts), sum(one.compress_size for one in parts))
    for one in parts:
        if one.filename.endswith(".npy"):
            with archive.open(one) as file:
                check_npy(file, one.filename.removesuffix(".npy"), one.file_size, one.compress_size)
