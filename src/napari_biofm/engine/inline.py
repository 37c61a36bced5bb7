"""Run jobs here and now: for tests, scripts and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_biofm.engine.base import CancelledError, Engine, Job, JobState, run_steps
from napari_biofm.engine.torch_there import without_torch


class InlineEngine(Engine):
    """Runs each job inside `submit`, whatever its lane; a listener may still cancel it between two steps."""

    name = "inline"

    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        job.started()
        try:
            result = run_steps(function, args, kwargs, job.progressed, lambda: job.cancel_asked)
        except CancelledError:
            job.ended(JobState.CANCELLED)
        except Exception as error:  # noqa: BLE001 (whatever a job raises is its result)
            job.ended(JobState.FAILED, error=without_torch(error))
        else:
            job.ended(JobState.DONE, result)

    def _cancel(self, job: Job) -> None:
        return None  # `cancel_asked` is looked at after each step
