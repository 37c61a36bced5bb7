"""Long computations: generators of progress that return their result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One step of a job. `payload` may carry a partial result, e.g. one finished tile."""

    done: int
    total: int
    message: str = ""
    payload: Any = None


# A long task is a generator: it yields Progress and returns its result. The engine, the command
# line and a test drain it alike, and it can be cancelled between any two steps.
Task = Generator[Progress, None, T]


ProgressListener = Callable[[Progress], None]


def run_task(task: Task[T], progress: ProgressListener | None = None) -> T:
    """Drain `task` here and now and return its result.

    Parameters
    ----------
    task : generator of Progress.
    progress : called with each step; an exception raised in it stops the task.
    """
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if progress is not None:
            try:
                progress(step)
            except BaseException:
                task.close()
                raise


def relay(task: Task[T], done: int, total: int, message: str, steps: int = 1) -> Task[T]:
    """Pass the steps of an inner task on as steps of the outer one, and return the inner result.

    Parameters
    ----------
    task : the inner task.
    done, total : parts of the outer task that are finished, and all of them.
    message : what is worked on; the inner message is put behind it.
    steps : steps into which each part is divided; `done` and `total` are counted in them.
    """
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            result: T = stop.value
            return result
        inside = min(steps - 1, steps * step.done // max(1, step.total))
        told = f"{message}: {step.message}" if step.message else message
        yield Progress(done * steps + inside, total * steps, told)
