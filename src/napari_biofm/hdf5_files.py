"""What the HDF5 library does not survive, and what leads out of a file's folder, looked for before a file is read."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_biofm.places import beside, leads_outside, outside_words

LOOKED_AT = 64 << 20  # bytes at each end of a file: heaps of strings are written first or last
LONGEST_S = 300  # by the clock; 20 on a processor
_HEAP, _HEADER = b"GCOL\x01\x00\x00\x00", 16


def check_hdf5(path: Path) -> None:
    """Raise OSError, as h5py does for damage that it sees, where reading a file would never end or leave its folder.

    A heap of strings is a chain of objects, each of which says how long it is. Where the free space at the end says that
    it is shorter than its own header, libhdf5 (2.0 and before) goes round in a circle for ever. External links, external
    storage and virtual datasets let the library read other files: those beside the file and below are meant, others not.

    Parameters
    ----------
    path : of any file; what is no HDF5, or cannot be opened, is left to the library.

    Raises
    ------
    OSError
        If a heap is damaged so, or something in the file is stored in a file outside its folder.
    """
    if not path.is_file():
        return
    _check_heaps(path)
    _check_places(Path(os.path.abspath(path)), path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _check_places(path: Path, stamp: int) -> None:  # noqa: ARG001 (part of the key of the cache)
    """Follow what a file, whose heaps are sound, says of other files, and what those say."""
    try:
        import h5py
    except ImportError:
        return
    seen, ahead = {path}, [path]
    while ahead:
        one = ahead.pop()
        if not one.is_file() or not h5py.is_hdf5(one):
            continue
        if one != path:
            _check_heaps(one)
        try:
            with h5py.File(one, "r") as file:
                named = list(_named_files(file, h5py))
        except OSError:
            raise
        except Exception as error:  # h5py raises whatever a damaged byte leads the library to
            raise OSError(f"its list of contents is damaged ({error})") from error
        for what, name in named:
            if leads_outside(one, name):
                raise OSError(outside_words(one, what, name))
            place = beside(one, name)
            if place is not None and place not in seen:
                seen.add(place)
                ahead.append(place)


def _named_files(file: Any, h5py: Any) -> Iterator[tuple[str, str]]:
    """Yield what of a file lies in other files, and their names."""
    linked: list[tuple[str, str]] = []
    stored: list[tuple[str, str]] = []

    def link(name: bytes, info: Any) -> None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            linked.append((_text_of(name), _text_of(file.id.links.get_val(name)[0])))

    def look(name: bytes, info: Any) -> None:
        if info.type != h5py.h5o.TYPE_DATASET:
            return
        made = h5py.h5d.open(file.id, name).get_create_plist()
        layout = made.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            others = (_text_of(made.get_virtual_filename(i)) for i in range(made.get_virtual_count()))
            stored.extend((_text_of(name), other) for other in others if other != ".")
        elif layout == h5py.h5d.CONTIGUOUS:
            parts = (made.get_external(i) for i in range(made.get_external_count()))
            stored.extend((_text_of(name), _text_of(part[0])) for part in parts)

    file.id.links.visit(link, info=True)
    h5py.h5o.visit(file.id, look, info=True)
    yield from linked
    yield from stored


def _text_of(name: str | bytes) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _check_heaps(path: Path) -> None:
    """Raise OSError where a heap of strings is an endless chain."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            size = len(content)
            for start, stop in ((0, LOOKED_AT), (max(LOOKED_AT, size - LOOKED_AT), size)):
                at = content.find(_HEAP, start, stop)
                while at >= 0:
                    if _is_endless(content, at, size):
                        raise OSError(f"the heap of strings at byte {at} is damaged")
                    at = content.find(_HEAP, at + _HEADER, stop)
    except ValueError:  # an empty file cannot be mapped
        return
    except FileNotFoundError:
        return


def _is_endless(content: mmap.mmap, start: int, size: int) -> bool:
    """Walk over the objects of a heap as the library does."""
    stop = min(start + struct.unpack_from("<Q", content, start + 8)[0], size) if start + 16 <= size else 0
    at = start + _HEADER
    while at + _HEADER <= stop:
        number, _, _, length = struct.unpack_from("<HHIQ", content, at)
        step = _HEADER + (length + 7) // 8 * 8 if number else length
        if step < _HEADER:
            return True
        at += step
    return False


_LOOK = """
import sys
try:
    import resource
    most = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
import h5py

def look(name, one):
    dict(one.attrs)
    if isinstance(one, h5py.Dataset) and one.dtype.kind == "O":
        one[()]

try:
    with h5py.File(sys.argv[1], "r") as file:
        look("", file)
        file.visititems(look)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def check_texts(path: Path) -> None:
    """Raise OSError where the texts and attributes of an HDF5 file cannot be read, found out in a process of its own.

    On damaged strings of variable length libhdf5 can end the process, or take memory that a damaged number asks for.

    Parameters
    ----------
    path : of the file.

    Raises
    ------
    OSError
        If that process did not end well: with an error, a signal, 1.5 GB (and 20 times the file), or after 20 s of work.
    """
    if not path.is_file():
        return
    _check_heaps(path)
    most = (3 << 29) + 20 * path.stat().st_size
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-c", _LOOK, str(path), str(most)],
            env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OSError(f"reading its texts does not end within {LONGEST_S} s") from error
    if run.returncode < 0:
        raise OSError(f"its texts are damaged: libhdf5 ends with signal {-run.returncode}")
    if run.returncode:
        raise OSError((run.stderr.strip().splitlines() or ["its texts are damaged"])[-1][:300])
    _check_places(Path(os.path.abspath(path)), path.stat().st_mtime_ns)
