"""Locks between processes that the system frees when their holder ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL_S = 0.1
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)


class FileLock:
    """A lock with a file of its own; the file is removed when the lock is given back.

    Parameters
    ----------
    path : of the file; its folder has to be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def acquire(self) -> bool:
        """Take the lock if nobody has it; tell whether it is held now.

        Raises
        ------
        OSError
            If the file cannot be made, or the disk knows no locks.
        """
        while self._handle is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(handle)
                if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                    self._handle = handle
                    return True
            except FileNotFoundError:
                pass  # given back and removed by its holder in this moment: once more
            except OSError as error:
                os.close(handle)
                if error.errno in _BUSY:
                    return False
                raise
            os.close(handle)
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is None:
            return
        with suppress(OSError):  # Windows keeps files that are open
            self.path.unlink()
        with suppress(OSError):
            _unlock(self._handle)
        os.close(self._handle)
        self._handle = None

    def is_free(self) -> bool:
        """Tell whether nobody holds the lock at this moment."""
        if not self.path.exists():
            return True
        if not self.acquire():
            return False
        self.release()
        return True


@contextmanager
def locked(path: Path, seconds: float = 30.0) -> Iterator[bool]:
    """Hold a lock; give False where it did not become free in time, or the disk knows no locks.

    Parameters
    ----------
    path : of the lock's file. seconds : to wait at most.
    """
    lock = FileLock(path)
    until = time.monotonic() + seconds
    held = False
    try:
        with suppress(OSError):
            while not (held := lock.acquire()) and time.monotonic() < until:
                time.sleep(POLL_S)
        yield held
    finally:
        lock.release()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_UN)
