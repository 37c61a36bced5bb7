"""What the HDF5 library does not survive, looked for before a file is handed to it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

LOOKED_AT = 64 << 20  # bytes at each end of a file: heaps of strings are written first or last
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
