"""The same jobs on a Dask cluster, when the user gives the address of its scheduler.

A thread of its own talks to the scheduler, so that no address and no dead scheduler holds up the window: it connects at
the first job, sends jobs and cancellations, and looks whether the scheduler is there. Progress comes back as events of the
scheduler; cancelling sets a `distributed.Event` that the job looks at between steps. An interactive job has a higher
priority, so that the next free thread of the cluster takes it before bulk jobs that were submitted earlier.
"""

from __future__ import annotations

import importlib.util
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.engine.base import CancelledError, Engine, Job, JobState, Lane, Post, run_steps
from napari_biofm.engine.portable import portable
from napari_biofm.types import EngineError, Progress

CONNECT_TIMEOUT = 10.0
GONE_S = 5.0  # so long a scheduler may be silent while jobs are there
PRIORITY: Mapping[Lane, int] = MappingProxyType({"interactive": 10, "bulk": 0})  # higher goes first
LOOK_EVERY = 0.25  # seconds between two looks at the cancel flag, and at the scheduler: each is a round trip
STARTED = "started"
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def _versions() -> dict[str, str]:
    """Return what has to be the same here and on the nodes."""
    return {"napari-biofm": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}


def _run_on_cluster(
    topic: str,
    versions: Mapping[str, str],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[str, Any]:
    """Run on a node: report over the scheduler, stop when the flag is set."""
    from distributed import Event, get_worker

    worker, flag = get_worker(), Event(topic)
    last = [0.0, False]
    other = [
        f"{name} {mine}, not {versions.get(name)}"
        for name, mine in _versions().items()
        if mine != versions.get(name)
    ]
    if other:
        return "failed", EngineError(
            f"The cluster node {worker.address} has {' and '.join(other)}: install the same there as here."
        )

    def report(progress: Progress) -> None:
        worker.log_event(topic, (progress.done, progress.total, progress.message))

    def cancelled() -> bool:
        if time.monotonic() - last[0] > LOOK_EVERY:
            last[:] = [time.monotonic(), bool(flag.is_set())]
        return bool(last[1])

    worker.log_event(topic, STARTED)
    try:
        return "done", run_steps(function, args, kwargs, report, cancelled)
    except CancelledError:
        return "cancelled", None
    except Exception as error:  # noqa: BLE001 (whatever a job raises is sent to the window)
        return "failed", portable(error, f"the cluster node {worker.address}")


class DaskEngine(Engine):
    """Runs jobs on the workers of a Dask scheduler. Nothing here waits for the network but a thread of its own.

    A scheduler that does not answer fails the jobs that wait, with a message; the next job tries again.

    Parameters
    ----------
    address : scheduler address, e.g. "tcp://10.0.0.5:8786".

    Raises
    ------
    EngineError
        If `distributed` is not installed.
    """

    name = "dask"

    def __init__(self, address: str, post: Post | None = None) -> None:
        super().__init__(post)
        if importlib.util.find_spec("distributed") is None:
            raise EngineError("A Dask address needs: pip install 'napari-biofm[distributed]'")
        self._address = address
        self._client: Any = None
        self._lock = threading.Lock()
        self._unsent: dict[int, tuple[Job, Call]] = {}
        self._sent: dict[int, tuple[Job, Any]] = {}  # with its future
        self._silent_since: float | None = None
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        mine = tuple(map(_own, args)), {name: _own(value) for name, value in kwargs.items()}
        with self._lock:
            self._unsent[job.number] = job, (function, *mine)
        self._inbox.put(partial(self._send, job))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="biofm-cluster", daemon=True)
            self._thread.start()

    def _cancel(self, job: Job) -> None:
        with self._lock:
            waits = self._unsent.pop(job.number, None)
        if waits is not None:
            job.ended(JobState.CANCELLED)
        else:
            self._inbox.put(partial(self._stop, job))

    def close(self) -> None:
        """Cancel what runs and let go of the scheduler, without waiting for it."""
        super().close()
        for job in self.jobs:
            job.ended(JobState.CANCELLED)
        self._inbox.put(None)
        if self._thread is not None and self._client is not None:
            self._thread.join(2)

    # ------------------------------------------------------------------ thread

    def _serve(self) -> None:
        while True:
            with suppress(queue.Empty):
                call = self._inbox.get(timeout=LOOK_EVERY)
                if call is None:
                    break
                call()
            self._look()
        client, self._client = self._client, None
        _close(client)

    def _connected(self) -> Any:
        """Return a client that is connected.

        Raises
        ------
        EngineError
            If the scheduler does not answer.
        """
        if self._client is not None and self._client.status == "running":
            return self._client
        from distributed import Client

        former, self._client = self._client, None
        _close(former)
        try:
            self._client = Client(self._address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except Exception as error:  # addresses that are none, names that are unknown, doors that are closed
            raise EngineError(
                f"No Dask scheduler answers at {self._address}: start one with 'dask scheduler', or start napari without "
                "NAPARI_BIOFM_ENGINE to work on this computer."
            ) from error
        return self._client

    def _send(self, job: Job) -> None:
        if job.number not in self._unsent:
            return  # cancelled, or failed with one before it
        try:
            client = self._connected()
        except EngineError as error:
            with self._lock:
                waiting, self._unsent = self._unsent, {}
            for one, _ in waiting.values():
                one.ended(JobState.FAILED, error=error)
            return
        with self._lock:
            entry = self._unsent.pop(job.number, None)
        if entry is None:
            return
        topic = _topic(job)
        try:
            client.subscribe_topic(topic, lambda event: _heard(job, event[1]))
            future = client.submit(
                _run_on_cluster,
                topic,
                _versions(),
                *entry[1],
                pure=False,
                retries=0,
                priority=PRIORITY[job.lane],
            )
        except Exception as error:  # noqa: BLE001 - what cannot be pickled, or a scheduler that goes in this moment
            job.ended(JobState.FAILED, error=portable(error, "sending the job"))
            return
        self._sent[job.number] = job, future
        future.add_done_callback(lambda done: self._inbox.put(partial(self._finish, job, done)))

    def _stop(self, job: Job) -> None:
        """Cancel a job that was sent."""
        entry = self._sent.get(job.number)
        if entry is None or self._client is None or self._client.status != "running":
            return
        from distributed import Event

        with suppress(Exception):  # a scheduler that goes is noticed by `_look`
            Event(_topic(job), client=self._client).set()
            if job.state is JobState.WAITING:
                entry[1].cancel()
                job.ended(JobState.CANCELLED)

    def _finish(self, job: Job, future: Any) -> None:
        if self._sent.pop(job.number, None) is None:
            return
        try:
            if future.status == "finished":
                state, result = future.result(timeout=CONNECT_TIMEOUT)
                _end(job, state, result)
            elif job.cancel_asked:
                job.ended(JobState.CANCELLED)
            elif future.status == "cancelled":
                job.ended(JobState.FAILED, error=self._gone())
            else:
                job.ended(
                    JobState.FAILED, error=self._not_run(job, future.exception(timeout=CONNECT_TIMEOUT))
                )
        except Exception as error:  # noqa: BLE001 - the result cannot be fetched, or cannot be read
            job.ended(JobState.FAILED, error=portable(error, "fetching the result"))
        if self._client is not None and self._client.status == "running":
            with suppress(Exception):
                self._client.unsubscribe_topic(_topic(job))

    def _look(self) -> None:
        """Fail the jobs of a scheduler that has been silent for too long."""
        if self._client is None or self._client.status == "running":
            self._silent_since = None
            return
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if self._client.status == "closed" or now - self._silent_since > GONE_S:
            sent, self._sent = self._sent, {}
            client, self._client, self._silent_since = self._client, None, None
            for job, _ in sent.values():
                job.ended(JobState.FAILED, error=self._gone())
            threading.Thread(target=_close, args=(client,), daemon=True).start()

    def _gone(self) -> EngineError:
        return EngineError(
            f"The Dask scheduler at {self._address} went away in the middle of the job. The viewer and your layers are safe; "
            "start the scheduler, then the job again."
        )

    def _not_run(self, job: Job, error: BaseException | None) -> EngineError:
        """Return why the cluster could not run a job."""
        if type(error).__name__ == "KilledWorker":
            return EngineError(
                f"The cluster nodes that ran '{job.name}' ended one after the other, as they do when memory runs out. Choose a "
                "smaller region, or nodes with more memory."
            )
        needs = ", ".join(f"{name} {version}" for name, version in _versions().items())
        return EngineError(
            f"The cluster at {self._address} could not run '{job.name}' ({type(error).__name__}: {error}). Its nodes need {needs}."
        )


def _heard(job: Job, event: Any) -> None:
    job.started()
    if event != STARTED:
        job.progressed(Progress(*event))


def _end(job: Job, state: str, result: Any) -> None:
    if state == "done":
        job.ended(JobState.DONE, result)
    elif state == "failed":
        job.ended(JobState.FAILED, error=result)
    else:
        job.ended(JobState.CANCELLED)


def _own(value: Any) -> Any:
    """Return an array as it is now: a job that waits is not to see what is painted meanwhile."""
    return value.copy() if isinstance(value, np.ndarray) and not isinstance(value, np.memmap) else value


def _close(client: Any) -> None:
    if client is not None:
        with suppress(Exception):
            client.close(timeout=2)


def _topic(job: Job) -> str:
    return f"biofm-job-{id(job):x}-{job.number}"
