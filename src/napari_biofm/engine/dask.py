"""The same jobs on a Dask cluster, when the user gives the address of its scheduler.

Progress comes back as events of the scheduler; cancelling sets a `distributed.Event` that the job
looks at between steps. An interactive job has a higher priority, so that the next free thread of the cluster takes it
before bulk jobs that were submitted earlier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from napari_biofm.engine.base import CancelledError, Engine, Job, JobState, Lane, Post, run_steps
from napari_biofm.types import EngineError, Progress

CONNECT_TIMEOUT = 10.0
PRIORITY: Mapping[Lane, int] = MappingProxyType({"interactive": 10, "bulk": 0})  # higher goes first
LOOK_EVERY = 0.25  # seconds between two looks at the cancel flag: each is a round trip


def _run_on_cluster(
    topic: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Any]:
    """Run on a node: report over the scheduler, stop when the flag is set."""
    from distributed import Event, get_worker

    worker, flag = get_worker(), Event(topic)
    last = [0.0, False]

    def report(progress: Progress) -> None:
        worker.log_event(topic, (progress.done, progress.total, progress.message))

    def cancelled() -> bool:
        if time.monotonic() - last[0] > LOOK_EVERY:
            last[:] = [time.monotonic(), bool(flag.is_set())]
        return bool(last[1])

    try:
        return "done", run_steps(function, args, kwargs, report, cancelled)
    except CancelledError:
        return "cancelled", None


class DaskEngine(Engine):
    """Runs jobs on the workers of a Dask scheduler.

    Parameters
    ----------
    address : scheduler address, e.g. "tcp://10.0.0.5:8786".

    Raises
    ------
    EngineError
        If `distributed` is not installed or the scheduler does not answer.
    """

    name = "dask"

    def __init__(self, address: str, post: Post | None = None) -> None:
        super().__init__(post)
        try:
            from distributed import Client
        except ImportError as error:
            raise EngineError("A Dask address needs: pip install 'napari-biofm[distributed]'") from error
        try:
            self._client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise EngineError(
                f"No Dask scheduler answers at {address}: start one with 'dask scheduler'."
            ) from error
        self._address = address

    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        topic = _topic(job)
        self._client.subscribe_topic(topic, lambda event: job.progressed(Progress(*event[1])))
        future = self._client.submit(
            _run_on_cluster,
            topic,
            function,
            args,
            kwargs,
            pure=False,
            retries=0,
            priority=PRIORITY[job.lane],
        )
        job.started()
        future.add_done_callback(lambda done: self._finish(job, done))

    def _finish(self, job: Job, future: Any) -> None:
        if future.status == "finished":
            state, result = future.result()
            if state == "done":
                job.ended(JobState.DONE, result)
            else:
                job.ended(JobState.CANCELLED)
        elif future.status == "cancelled":
            job.ended(JobState.CANCELLED)
        else:
            error = future.exception()
            job.ended(
                JobState.FAILED, error=error or EngineError(f"'{job.name}' was lost by {self._address}.")
            )
        if not self._closed:
            self._client.unsubscribe_topic(_topic(job))

    def _cancel(self, job: Job) -> None:
        from distributed import Event

        Event(_topic(job), client=self._client).set()

    def close(self) -> None:
        super().close()
        for job in self.jobs:
            job.ended(JobState.CANCELLED)
        self._client.close(timeout=2)


def _topic(job: Job) -> str:
    return f"biofm-job-{id(job):x}-{job.number}"
