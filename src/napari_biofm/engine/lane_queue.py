"""The jobs of one lane: which wait, which one runs, and the worker process they run in.

Two threads serve a lane. The sender copies arguments, starts the worker and hands it the next job when the former has
ended; the reader hears the worker and ends jobs. Jobs that wait stay here, so that they can be cancelled at once and
outlive a worker that is killed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from napari_biofm.engine.base import Job, JobState, Lane
from napari_biofm.engine.channel import Parcel, UnreadableError, pack
from napari_biofm.engine.worker_process import START_TIMEOUT, WorkerProcess
from napari_biofm.sizes import memory_words
from napari_biofm.types import EngineError

Function = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
ATTEMPTS = 3  # workers that are given one job, where each ends before it begins with it


@dataclass
class _Entry:
    """A job whose arguments were copied.

    Attributes
    ----------
    job, parcel : the job and its arguments.
    worker : what runs it; None while it waits.
    attempts : how many workers were given it.
    """

    job: Job
    parcel: Parcel
    worker: WorkerProcess | None = None
    attempts: int = 0


class LaneQueue:
    """Runs jobs one after the other, in the order they were submitted.

    Parameters
    ----------
    lane : its name.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane: Lane = lane
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # what the sender is to do
        self._waiting: deque[_Entry] = deque()  # the sender's own
        self._running: _Entry | None = None
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()  # of what runs, and of the start of the sender
        self._closing = threading.Event()
        self._sender: threading.Thread | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the worker, None where none runs."""
        worker = self._worker
        return None if worker is None else worker.pid

    def put(self, job: Job, function: Function) -> None:
        """Append a job; returns at once, however large its arguments are."""
        self._tell(lambda: self._pack(job, function))

    def cancel(self, job: Job) -> None:
        """End a job that waits, now, or ask one that runs to stop between two steps; its flag is set already."""
        with self._lock:
            runs = self._running is not None and self._running.job is job
        if not runs:
            job.ended(JobState.CANCELLED)
        self._tell(lambda: self._cancel(job))

    def warm_up(self) -> None:
        """Start the worker ahead of the first job."""
        self._tell(self._try_to_start)

    def begin_close(self) -> None:
        """Take no more jobs, and begin to stop the worker."""
        self._closing.set()
        if self._sender is not None:
            self._inbox.put(None)

    def finish_close(self) -> None:
        """Wait until the worker has ended and its memory is free."""
        here = threading.current_thread()  # a listener may close the engine on one of our own threads
        if self._sender is not None and here not in (self._sender, self._reader):
            self._sender.join(timeout=START_TIMEOUT)

    # ------------------------------------------------------------------ sender thread

    def _tell(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._sender is None:
                name = f"biofm-{self.lane}-sender"
                self._sender = threading.Thread(target=self._serve, name=name, daemon=True)
                self._sender.start()
        self._inbox.put(call)

    def _serve(self) -> None:
        while (call := self._inbox.get()) is not None:
            call()
            self._send_next()
        for entry in self._waiting:
            entry.parcel.release()
            entry.job.ended(JobState.CANCELLED)
        self._waiting.clear()
        if self._worker is not None:
            self._worker.stop()
        if self._reader is not None:
            self._reader.join(timeout=START_TIMEOUT)
        while not self._inbox.empty():  # the reader's last word frees the memory that was lent to the worker
            call = self._inbox.get()
            if call is not None:
                call()

    def _pack(self, job: Job, function: Function) -> None:
        if job.cancel_asked or self._closing.is_set():
            job.ended(JobState.CANCELLED)
            return
        try:
            self._waiting.append(_Entry(job, pack(function)))
        except Exception as error:  # noqa: BLE001 (pickling an argument runs its own code)
            why = memory_words(error) if isinstance(error, MemoryError) else str(error)
            reason = f"'{job.name}' could not be sent to the worker process: {why}"
            job.ended(JobState.FAILED, error=EngineError(reason))

    def _cancel(self, job: Job) -> None:
        running = self._running
        if running is not None and running.job is job and running.worker is not None:
            try:
                running.worker.channel.send("cancel", job.number)
            except (OSError, ValueError):
                return  # the worker is gone; the reader tells
        for entry in [e for e in self._waiting if e.job is job]:
            self._waiting.remove(entry)
            entry.parcel.release()

    def _send_next(self) -> None:
        """Hand the worker the next job, where it has none."""
        while self._running is None and self._waiting and not self._closing.is_set():
            entry = self._waiting.popleft()
            try:
                worker = self._ready()
            except Exception as error:  # noqa: BLE001 (the job is told, the thread must go on)
                entry.parcel.release()
                reason = str(error) if isinstance(error, EngineError) else f"'{entry.job.name}': {error}"
                entry.job.ended(JobState.FAILED, error=EngineError(reason))
                continue
            with self._lock:
                if not entry.job.cancel_asked:
                    entry.worker, entry.attempts = worker, entry.attempts + 1
                    self._running = entry
            if self._running is None:
                entry.parcel.release()
                entry.job.ended(JobState.CANCELLED)
                continue
            try:
                worker.channel.send_parcel("run", entry.job.number, entry.parcel)
            except (OSError, ValueError, MemoryError):
                worker.stop()  # the reader tells

    def _try_to_start(self) -> None:
        try:
            self._ready()
        except (EngineError, OSError):
            return  # the first job meets the same obstacle, and tells it

    def _ready(self) -> WorkerProcess:
        """Return a worker that lives."""
        worker = self._worker
        if worker is not None and worker.pid is not None:
            return worker
        self._worker = worker = WorkerProcess(self.lane, self._closing)
        name = f"biofm-{self.lane}-reader"
        self._reader = threading.Thread(target=self._read, args=(worker,), name=name, daemon=True)
        self._reader.start()
        return worker

    def _lost(self, worker: WorkerProcess, reason: str) -> None:
        """A worker has ended: the job it ran failed; one that it had not begun goes to the next worker."""
        running = self._running
        if running is None or running.worker is not worker:
            worker.channel.close()
            return
        job = running.job
        begun = job.state is not JobState.WAITING or running.attempts >= ATTEMPTS
        again = not begun and worker.channel.reclaim(running.parcel)
        worker.channel.close()
        with self._lock:
            self._running = running.worker = None
        if again:
            self._waiting.appendleft(running)
            return
        error = EngineError(
            f"The worker process ended in the middle of the job ({reason}). The viewer and your "
            "layers are safe; start the job again, on a smaller region or another device if memory ran out."
        )
        job.ended(JobState.FAILED, error=error)

    # ------------------------------------------------------------------ reader thread

    def _read(self, worker: WorkerProcess) -> None:
        while True:
            try:
                kind, number, content = worker.channel.receive()
            except (EOFError, OSError):
                break
            except MemoryError:  # in the middle of a message: what follows on the line cannot be understood
                worker.stop()
                break
            except UnreadableError as error:
                kind, number = "failed", error.number
                content = EngineError(f"The result cannot be read: {error}")
            running = self._running
            if running is None or running.job.number != number:
                continue
            if kind == "started":
                running.job.started()
            elif kind == "progress":
                running.job.progressed(content)
            else:
                with self._lock:
                    self._running = None
                self._inbox.put(self._send_next)
                _end(running.job, kind, content)
        reason = worker.wait()
        self._inbox.put(lambda: self._lost(worker, reason))


def _end(job: Job, kind: str, content: Any) -> None:
    if kind == "done":
        job.ended(JobState.DONE, content)
    elif kind == "cancelled":
        job.ended(JobState.CANCELLED)
    else:
        job.ended(JobState.FAILED, error=content)
