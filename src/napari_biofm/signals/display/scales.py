"""Round lengths of scale bars, and views that are zoomed and gone back to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
_MOST_VIEWS = 100


def round_length(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, about a fifth of `span`.

    Examples
    --------
    >>> round_length(3.0)
    0.5
    """
    if not (np.isfinite(span) and span > 0):
        return 1.0
    power = 10.0 ** np.floor(np.log10(span / 5))
    return float(max(k * power for k in (1, 2, 5) if k * power <= span / 5 * (1 + 1e-9)))


def with_prefix(seconds: float) -> str:
    """Return a time with the prefix people use: s, ms or us."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 - 1e-9:
            return f"{seconds * factor:g} {unit}"
    return f"{seconds * 1e6:g} us"


def zoomed(span: Range, about: float, factor: float) -> Range:
    """Return a range made `factor` times as wide, with `about` at the same share of it."""
    return about + (span[0] - about) * factor, about + (span[1] - about) * factor


def stretched(span: Range, gain: float) -> Range:
    """Return a range in which everything is `gain` times as high, about its middle."""
    return zoomed(span, (span[0] + span[1]) / 2, 1 / gain)


def tick_line(
    places: NDArray[np.float64], pixel: float, foot: float, top: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of upright ticks, two points each, at most one tick per pixel.

    Parameters
    ----------
    places : (n,) where ticks are wanted.
    pixel : width of a pixel, in the unit of `places`.
    foot, top : y of their ends.
    """
    thinned = np.unique(np.round(places / pixel)) * pixel
    return np.repeat(thinned, 2), np.tile([foot, top], len(thinned))


class ViewHistory:
    """Where plots were before each zoom: the way back. A view is the x and y range of every plot."""

    def __init__(self) -> None:
        self._past: list[list[tuple[Range, Range]]] = []

    def __len__(self) -> int:
        return len(self._past)

    def remember(self, view: Sequence[tuple[Range, Range]]) -> None:
        """Keep the present view, unless nothing changed since the last."""
        if not self._past or self._past[-1] != list(view):
            self._past.append(list(view))
            del self._past[:-_MOST_VIEWS]

    def back(self, now: Sequence[tuple[Range, Range]]) -> list[tuple[Range, Range]] | None:
        """Return the last remembered view that differs from the present one; None if there is none."""
        while self._past:
            then = self._past.pop()
            if then != list(now) and len(then) == len(now):
                return then
        return None

    def clear(self) -> None:
        """Forget everything, e.g. when other channels are shown."""
        self._past.clear()
