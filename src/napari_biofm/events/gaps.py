"""Gaps in a trace (NaN), filled so that nothing that looks at noise is misled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVEL = 64  # samples beside a gap from which its level is taken


def runs(flag: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return (n, 2) first and one past the last index of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flag.view(np.int8), [0]])))
    return edges.reshape(-1, 2)


def filled(x: NDArray[Any], gap: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a copy of a trace whose gaps hold its own noise, mirrored from both sides, on a line between the levels.

    A straight line alone would be a stretch without noise: the samples beside it would stand out of it like events.

    Parameters
    ----------
    x : (n,) trace. gap : (n,) where it is missing; zeros where nothing else is there.
    """
    if not gap.any():
        return x
    out = x.copy()
    out[gap] = 0
    if gap.all():
        return out
    missing = runs(gap)
    starts = np.concatenate([[0], missing[:, 1]])  # of what is there before each gap, and after the last
    stops = np.concatenate([missing[:, 0], [len(x)]])
    for i, (a, b) in enumerate(missing):
        before, after = x[starts[i] : stops[i]], x[starts[i + 1] : stops[i + 1]]
        half = (b - a) // 2 if len(before) and len(after) else (b - a if len(before) else 0)
        levels = [float(np.median(part)) for part in (before[-_LEVEL:], after[:_LEVEL]) if len(part)]
        line = np.linspace(levels[0], levels[-1], b - a)
        if half:
            line[:half] += _mirrored(before[::-1], half) - levels[0]
        if b - a > half:
            line[half:] += _mirrored(after, b - a - half)[::-1] - levels[-1]
        out[a:b] = line
    return out


def _mirrored(x: NDArray[Any], n: int) -> NDArray[Any]:
    """Return n samples of x, there and back as often as needed."""
    if len(x) == 1:
        return np.repeat(x, n)
    period = np.concatenate([x, x[-2:0:-1]])
    return period[np.arange(n) % len(period)]
