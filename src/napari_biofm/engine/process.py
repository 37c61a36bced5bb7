"""Warm worker processes, one per lane: a crash or a kill there is a message here, not a lost window.

A thread in one worker would share its models and save the memory of a second process (0.4 GB with torch and the
embedded model). Measured on two busy cores with a click every 300 ms beside a job in pure Python, such a thread waited
for the interpreter's lock (p95 of a click 216 to 348 ms; with a switch interval of 0.5 ms 54 to 63 ms, but the job fell
to 0.66 to 0.74 of its speed), while a process of its own answered with a p95 of 29 to 60 ms and left the job its speed.
So each lane has a process, which starts with the lane's first job; on a graphics card each has a context of its own,
and batches are sized by what is free there at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_biofm.engine.base import LANES, Engine, Job, JobState, Lane, Post
from napari_biofm.engine.lane_queue import LaneQueue


class ProcessEngine(Engine):
    """Runs the jobs of each lane one after the other in a process of the lane's own.

    Pickling and copying of arguments happens on a sender thread, results arrive on a reader thread:
    `submit` returns at once however large the image.
    """

    name = "worker"

    def __init__(self, post: Post | None = None) -> None:
        super().__init__(post)
        self._lanes = {lane: LaneQueue(lane) for lane in LANES}

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker of bulk jobs, None where none runs."""
        return self.pid_of("bulk")

    def pid_of(self, lane: Lane) -> int | None:
        """Return the process id of a lane's worker, None where none runs."""
        return self._lanes[lane].pid

    def warm_up(self, lane: Lane = "bulk") -> None:
        self._lanes[lane].warm_up()

    def close(self) -> None:
        super().close()
        for job in self.jobs:
            job.ended(JobState.CANCELLED)
        for lane in self._lanes.values():
            lane.begin_close()
        for lane in self._lanes.values():
            lane.finish_close()

    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._lanes[job.lane].put(job, (function, args, kwargs))

    def _cancel(self, job: Job) -> None:
        self._lanes[job.lane].cancel(job)
