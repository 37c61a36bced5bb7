"""What the HDF5 library does not survive, looked for before a file is handed to it."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

LOOKED_AT = 64 << 20  # bytes at each end of a file: heaps of strings are written first or last
LONGEST_S = 300  # by the clock; 20 on a processor
_HEAP, _HEADER = b"GCOL\x01\x00\x00\x00", 16


def check_hdf5(path: Path) -> None:
    """Raise OSError, as h5py does for damage that it sees, where reading a file would never end.

    A heap of strings is a chain of objects, each of which says how long it is. Where the free space at the end says that
    it is shorter than its own header, libhdf5 (2.0 and before) goes round in a circle for ever.

    Parameters
    ----------
    path : of any file; what is no HDF5, or cannot be opened, is left to the library.

    Raises
    ------
    OSError
        If a heap is damaged so.
    """
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
    check_hdf5(path)
    if not path.is_file():
        return
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
