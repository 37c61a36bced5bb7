"""Send Python objects between our two processes, arrays through shared memory.

Only this program's own processes talk here, over a socket that is private to the user and opened with
a secret, so pickling is safe; files are never read this way. Buffers above `SHARED_MIN` bytes travel
in shared memory blocks, which stay the sender's until the receiver says that it has copied them. What does
not fit into shared memory (64 MB in a container, as a rule) goes through the socket.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from dataclasses import dataclass
from multiprocessing import resource_tracker, shared_memory
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from napari_biofm.sizes import memory_words

SHARED_MIN = 1 << 16
_COPIED = "copied"
_OBJECT = "object"


def _attach(name: str) -> shared_memory.SharedMemory:
    """Open a block of the other process without making this one's tracker responsible for it."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    block = shared_memory.SharedMemory(name=name)
    if sys.platform != "win32":
        # the tracker knows a block by the name the system has for it, with a slash in front
        resource_tracker.unregister(f"/{block.name.lstrip('/')}", "shared_memory")
    return block


def _reserved(size: int) -> shared_memory.SharedMemory:
    """Return a new block whose memory is there: writing to one that is only promised ends the process (SIGBUS).

    Raises
    ------
    OSError
        If so much shared memory is not free.
    """
    block = shared_memory.SharedMemory(create=True, size=size)
    file = Path("/dev/shm", block.name.lstrip("/"))
    try:
        if hasattr(os, "posix_fallocate") and file.exists():
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, size)
    except BaseException:
        block.close()
        block.unlink()
        raise
    return block


class UnreadableError(Exception):
    """A message whose content could not be rebuilt here; `kind` and `number` still say what it was."""

    def __init__(self, kind: str, number: int, reason: Exception) -> None:
        no_room = isinstance(reason, MemoryError)
        super().__init__(memory_words(reason) if no_room else f"{type(reason).__name__}: {reason}")
        self.kind = kind
        self.number = number


@dataclass(frozen=True)
class Parcel:
    """A pickled object, its large buffers copied to shared memory: what happens to the object afterwards does not
    change it.

    Attributes
    ----------
    data : the pickle.
    blocks : shared memory and bytes used of it, one per large buffer.
    """

    data: bytes
    blocks: tuple[tuple[shared_memory.SharedMemory, int], ...]

    def release(self) -> None:
        """Free the shared memory of a parcel that is not going to be sent."""
        for block, _ in self.blocks:
            block.close()
            block.unlink()


def pack(content: object) -> Parcel:
    """Return any picklable content ready to be sent; without shared memory where its buffers do not fit there.

    Raises
    ------
    Exception
        Whatever pickling raises.
    """
    buffers: list[pickle.PickleBuffer] = []

    def keep_inline(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < SHARED_MIN:
            return True
        buffers.append(buffer)
        return False

    data = pickle.dumps(content, protocol=5, buffer_callback=keep_inline)
    blocks: list[tuple[shared_memory.SharedMemory, int]] = []
    try:
        for buffer in buffers:
            raw = buffer.raw()
            block = _reserved(raw.nbytes)
            blocks.append((block, raw.nbytes))
            target = np.ndarray(raw.nbytes, np.uint8, block.buf)
            np.copyto(target, np.frombuffer(raw, np.uint8))  # copies without holding the GIL
            del target
    except OSError:
        Parcel(data, tuple(blocks)).release()
        return Parcel(pickle.dumps(content, protocol=5), ())
    except BaseException:
        Parcel(data, tuple(blocks)).release()
        raise
    return Parcel(data, tuple(blocks))


class Channel:
    """Both ends of the line between window and worker.

    `send` may be called from any thread; `receive` from one thread only.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._lent: dict[str, shared_memory.SharedMemory] = {}
        self._receipts: SimpleQueue[list[str]] = SimpleQueue()
        self._closed = False

    def send(self, kind: str, number: int = 0, content: object = None) -> None:
        """Send any picklable content; large array buffers go through shared memory.

        Raises
        ------
        OSError, ValueError
            If the other side is gone.
        """
        self.send_parcel(kind, number, pack(content))

    def send_parcel(self, kind: str, number: int, parcel: Parcel) -> None:
        """Send what was packed before; its shared memory is this channel's to free from here on.

        Raises
        ------
        OSError, ValueError
            If the other side is gone.
        """
        with self._lock:
            if self._closed:
                parcel.release()
                raise OSError("the line to the other process is closed")
            self._lent.update({block.name: block for block, _ in parcel.blocks})
            blocks = [(block.name, size) for block, size in parcel.blocks]
            self._connection.send((_OBJECT, kind, number, parcel.data, blocks))
            self._send_receipts()

    def reclaim(self, parcel: Parcel) -> bool:
        """Take back what was sent to a process that is gone; False where it had copied a part of it already."""
        names = [block.name for block, _ in parcel.blocks]
        whole = all(name in self._lent for name in names)
        if whole:
            for name in names:
                del self._lent[name]
        return whole

    def receive(self) -> tuple[str, int, Any]:
        """Wait for the next message and return its kind, number and content.

        Raises
        ------
        UnreadableError
            If the content cannot be rebuilt, e.g. a function that this process cannot import.
        EOFError, OSError
            If the other side is gone.
        """
        while True:
            what, *parts = self._connection.recv()
            if what == _COPIED:
                self._take_back(parts[0])
                continue
            kind, number, data, blocks = parts
            buffers: list[memoryview] = []
            lacking: MemoryError | None = None
            try:
                buffers += [self._copy(name, size) for name, size in blocks]
            except MemoryError as error:  # the line stays in order, and the sender gets its blocks back
                buffers.clear()
                lacking = error
            if blocks:
                self._receipts.put([name for name, _ in blocks])
                # Never wait here: if both ends wrote and none read, both would wait for ever. A sender
                # that holds the lock now sends the receipt itself.
                if self._lock.acquire(blocking=False):
                    try:
                        self._send_receipts()
                    finally:
                        self._lock.release()
            if lacking is not None:
                raise UnreadableError(kind, number, lacking) from lacking
            try:
                return kind, number, pickle.loads(data, buffers=buffers)  # noqa: S301 - our own process
            except Exception as error:
                raise UnreadableError(kind, number, error) from error

    def _send_receipts(self) -> None:
        while not self._receipts.empty():
            self._connection.send((_COPIED, self._receipts.get()))

    def close(self) -> None:
        """Close the line and free every block still lent."""
        with self._lock:
            self._closed = True
            self._connection.close()
        self._take_back(list(self._lent))

    def _take_back(self, names: list[str]) -> None:
        for name in names:
            block = self._lent.pop(name, None)
            if block is not None:
                block.close()
                block.unlink()

    @staticmethod
    def _copy(name: str, size: int) -> memoryview:
        own = np.empty(size, np.uint8)
        block = _attach(name)
        source = np.ndarray(size, np.uint8, block.buf)
        np.copyto(own, source)
        del source
        block.close()
        return own.data
