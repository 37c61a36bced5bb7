"""What controllers and panels ask of the dock that they belong to; none of it is Qt, so that tests can give their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from napari_biofm.engine import Job, Lane
from napari_biofm.types import Progress


class Listen(Protocol):
    """Connects a callback to a psygnal signal for as long as the dock lives; see `Dock.listen`."""

    def __call__(self, signal: Any, callback: Callable[..., Any]) -> None: ...


class RunJob(Protocol):
    """Runs a job in the session's engine, with its progress in the dock; see `Dock.run`."""

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
    ) -> Job: ...


class TellError(Protocol):
    """Shows an error to the user; see `Dock.tell_error`."""

    def __call__(self, error: BaseException, /) -> None: ...
