"""A disk that is full or cannot be written ends a run with one line; what is finished stays."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_biofm.types import BatchError

FULL = (errno.ENOSPC, errno.EDQUOT)
STOPPING = (*FULL, errno.EROFS)  # no other item could be written either


@contextmanager
def told_of_disk(folder: Path) -> Iterator[None]:
    """Turn what writing into the folder of a run raises into one line with its remedy.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BatchError
        If something cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise BatchError(disk_words(error, folder)) from error
    except sqlite3.Error as error:
        if "full" in str(error):
            raise BatchError(disk_words(OSError(errno.ENOSPC, str(error)), folder)) from error
        raise BatchError(f"{folder}: the manifest cannot be written ({error}).") from error


def disk_words(error: OSError, folder: Path) -> str:
    """Return what is said of an error of writing.

    Parameters
    ----------
    error : what was raised.
    folder : of the run.
    """
    if error.errno in FULL:
        return f"{folder}: the disk is full; free some space and run again with --resume, finished items are kept."
    place = Path(error.filename) if isinstance(error.filename, str) else folder
    place = folder if place.is_relative_to(folder) else place
    return f"{place}: cannot be written ({error.strerror or error}); give another folder with --out."
