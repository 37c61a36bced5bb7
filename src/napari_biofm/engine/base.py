"""What a job is, and what every engine offers."""

from __future__ import annotations

import enum
import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import GeneratorType
from typing import Any, Literal

from napari_biofm.types import EngineError, Progress, ProgressListener

Call = Callable[[], None]
Post = Callable[[Call], None]
# "interactive": a person waits for it (a click, a preview, a refit). "bulk": everything that may take long.
Lane = Literal["interactive", "bulk"]
LANES: tuple[Lane, ...] = ("interactive", "bulk")
_NUMBERS = itertools.count(1)


class JobState(enum.Enum):
    """Life of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class CancelledError(Exception):
    """Raised inside an engine when a job was cancelled between two steps."""


class Job:
    """A submitted function: its progress, its result, and a way to stop it.

    Listeners are called through the engine's `post`, so that a window hears them on its own thread.
    """

    def __init__(
        self,
        name: str,
        bound_to: str | None = None,
        *,
        lane: Lane = "bulk",
        on_start: Call | None = None,
        on_progress: ProgressListener | None = None,
        on_done: Callable[[Any], None] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
        on_cancel: Call | None = None,
        cancel: Callable[[Job], None] | None = None,
        post: Post | None = None,
    ) -> None:
        self.number = next(_NUMBERS)
        self.name = name
        self.bound_to = bound_to
        self.lane = lane
        self._on_start, self._on_progress = on_start, on_progress
        self._on_done, self._on_error, self._on_cancel = on_done, on_error, on_cancel
        self._post: Post = post or (lambda call: call())
        self._state = JobState.WAITING
        self._result: Any = None
        self._error: BaseException | None = None
        self._finished = threading.Event()
        self._lock = threading.Lock()  # of the state: several threads of an engine may end a job
        self._cancel = cancel
        self.cancel_asked = False

    def __repr__(self) -> str:
        return f"<Job {self.number} '{self.name}' {self._state.value}>"

    @property
    def state(self) -> JobState:
        return self._state

    @property
    def error(self) -> BaseException | None:
        return self._error

    def cancel(self) -> None:
        """Ask the job to stop; it does so between two steps. Nothing happens if it has ended."""
        if self._state.is_final or self.cancel_asked:
            return
        self.cancel_asked = True
        if self._cancel is not None:
            self._cancel(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job and return its result.

        Raises
        ------
        EngineError
            If it was cancelled or did not end within `timeout` seconds; else whatever the job raised.
        """
        if not self._finished.wait(timeout):
            raise EngineError(f"'{self.name}' did not end within {timeout} s.")
        if self._error is not None:
            raise self._error
        if self._state is JobState.CANCELLED:
            raise EngineError(f"'{self.name}' was cancelled.")
        return self._result

    # What follows is called by engines.

    def started(self) -> None:
        """Say that the job has left the queue."""
        with self._lock:
            if self._state is not JobState.WAITING:
                return
            self._state = JobState.RUNNING
        if self._on_start is not None:
            self._post(self._on_start)

    def progressed(self, progress: Progress) -> None:
        """Tell the listener about a step."""
        listener = self._on_progress
        if listener is not None and not self._state.is_final:
            self._post(lambda: listener(progress))

    def ended(self, state: JobState, result: object = None, error: BaseException | None = None) -> None:
        """Put the job in its final state, once, and tell who listens."""
        with self._lock:
            if self._state.is_final:
                return
            self._result, self._error, self._state = result, error, state
        self._finished.set()
        on_done, on_error = self._on_done, self._on_error
        if state is JobState.DONE and on_done is not None:
            self._post(lambda: on_done(result))
        elif state is JobState.FAILED and on_error is not None and error is not None:
            self._post(lambda: on_error(error))
        elif state is JobState.CANCELLED and self._on_cancel is not None:
            self._post(self._on_cancel)


class Engine(ABC):
    """Runs jobs. Closing it cancels what runs; submitting after that is an error."""

    name = "engine"

    def __init__(self, post: Post | None = None) -> None:
        self._post = post
        self._jobs: dict[int, Job] = {}
        self._closed = False

    def submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        lane: Lane = "bulk",
        bound_to: str | None = None,
        on_start: Call | None = None,
        on_progress: ProgressListener | None = None,
        on_done: Callable[[Any], None] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
        on_cancel: Call | None = None,
        **kwargs: Any,
    ) -> Job:
        """Run `function(*args, **kwargs)` and return its job at once.

        Parameters
        ----------
        function : module-level function; if it returns a generator this is drained as a Task.
        name : shown to the user; the function's name when not given.
        lane : "interactive" where a person waits for the answer, else "bulk". Jobs of one lane run in the order
            they were submitted; interactive ones do not wait for bulk ones.
        bound_to : unique id of the layer the job belongs to; `cancel_bound` stops it with its layer.
        on_start : called when the job leaves the queue.
        on_progress : called with each `Progress` of the job.
        on_done, on_error, on_cancel : one of them is called when the job has ended, with the result, the error,
            or nothing.

        Raises
        ------
        EngineError
            If the engine was closed, or there is no such lane.
        """
        if lane not in LANES:
            raise EngineError(f"'{lane}' is no lane of an engine: use {' or '.join(map(repr, LANES))}.")
        if self._closed:
            raise EngineError(f"'{name or function.__name__}' cannot start: the engine was closed.")
        job = Job(
            name or function.__name__.replace("_", " "),
            bound_to,
            lane=lane,
            on_start=on_start,
            on_progress=on_progress,
            on_done=on_done,
            on_error=on_error,
            on_cancel=on_cancel,
            cancel=self._cancel,
            post=self._post,
        )
        self._jobs = {n: j for n, j in self._jobs.items() if not j.state.is_final}
        self._jobs[job.number] = job
        self._start(job, function, args, kwargs)
        return job

    @property
    def jobs(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        return [job for job in self._jobs.values() if not job.state.is_final]

    def cancel_bound(self, uid: str) -> None:
        """Cancel every job bound to the layer `uid`."""
        for job in self.jobs:
            if job.bound_to == uid:
                job.cancel()

    def close(self) -> None:
        """Cancel what runs and give resources back."""
        for job in self.jobs:
            job.cancel()
        self._closed = True

    def warm_up(self, lane: Lane = "bulk") -> None:
        """Get ready ahead of the first job of a lane, without waiting."""
        return None

    @abstractmethod
    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Begin to run; must not block."""

    @abstractmethod
    def _cancel(self, job: Job) -> None:
        """Ask a running job to stop between two steps."""


def run_steps(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    report: ProgressListener,
    cancelled: Callable[[], bool],
) -> object:
    """Run a function or drain the Task it returns; shared by all engines.

    Raises
    ------
    CancelledError
        As soon as `cancelled()` is true between two steps. The task's own clean-up runs first.
    """
    if cancelled():
        raise CancelledError
    outcome = function(*args, **kwargs)
    if not isinstance(outcome, GeneratorType):
        return outcome
    while True:
        try:
            progress = next(outcome)
        except StopIteration as stop:
            return stop.value
        report(progress)
        if cancelled():
            outcome.close()
            raise CancelledError
