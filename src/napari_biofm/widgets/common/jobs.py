"""What panels and controllers ask of the dock they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from napari_biofm.engine import Job, Lane
from napari_biofm.types import Progress


class RunJob(Protocol):
    """Runs a job in the session's engine and shows it; `Dock.run` is one."""

    def __call__(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str,
        lane: Lane = "bulk",
        bound_to: str | None = None,
        on_done: Callable[[Any], None] | None = None,
        on_step: Callable[[Progress], None] | None = None,
        on_end: Callable[[], None] | None = None,
        **kwargs: Any,
    ) -> Job:
        """See `Dock.run`."""
        ...


class TellError(Protocol):
    """Shows an error to the user; `Dock.tell_error` is one."""

    def __call__(self, error: BaseException, /) -> None:
        """Show it."""
        ...
