"""Running a task to its end from a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from napari_biofm.types import Progress, Task

T = TypeVar("T")
ProgressListener = Callable[[Progress], None]


def drain(task: Task[T], progress: ProgressListener | None = None) -> T:
    """Run a task here and now and return its result.

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
