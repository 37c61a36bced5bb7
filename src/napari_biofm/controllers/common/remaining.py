"""How long a job will still take, told from the steps it has made. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable

from napari_biofm.types import Progress

TELL_AFTER_S, LEAST_STEPS = 3.0, 2  # before that a guess is worth nothing


class Remaining:
    """Guess from the mean pace since the first step.

    Parameters
    ----------
    clock : returns seconds (s) that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int, int] | None = None  # when, steps done, steps in all

    def words(self, progress: Progress) -> str:
        """Return ", about 20 s left", or nothing where it cannot be told yet."""
        now = self._clock()
        first = self._first
        if (
            first is None or progress.done < first[1] or progress.total != first[2]
        ):  # begins, or begins another part
            self._first = (now, progress.done, progress.total)
            return ""
        seconds, steps = now - first[0], progress.done - first[1]
        if seconds < TELL_AFTER_S or steps < LEAST_STEPS or progress.done >= progress.total:
            return ""
        left = seconds / steps * (progress.total - progress.done)
        return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"
