"""How sweeps are laid over, under or behind each other, as points to draw."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

import numpy as np

from napari_biofm.signals.display.source import NOTHING, Line, TraceSource
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

MAX_SWEEPS = 200  # drawn together
MAX_CHANNELS = 12  # drawn at once
_POINTS = 60_000  # drawn together, over all sweeps


class SweepMode(enum.Enum):
    """How several sweeps are shown."""

    ONE = "One by one"
    OVERLAY = "Overlaid"
    STACKED = "Stacked"
    IN_TIME = "In time"


class ScaleMode(enum.Enum):
    """How the y axes of channels relate."""

    REAL = "Real"
    SAME = "Same"
    BY_CHANNEL = "By channel"


def first_channels(recording: Recording) -> list[int]:
    """Return the channels to begin with: all of a few, the first of many."""
    return list(range(min(recording.n_channels, 4 if recording.is_cells else 8)))


def sweeps_shown(
    n_sweeps: int, current: int, mode: SweepMode, chosen: Sequence[int] | None = None
) -> list[int]:
    """Return which sweeps are drawn: at most 200 of the chosen ones (all by default), around the current one."""
    if mode is SweepMode.ONE or n_sweeps <= 1:
        return [current] if n_sweeps else []
    pool = list(range(n_sweeps)) if chosen is None else list(chosen)
    if len(pool) <= MAX_SWEEPS:
        return pool
    first = int(np.clip(np.searchsorted(pool, current) - MAX_SWEEPS // 2, 0, len(pool) - MAX_SWEEPS))
    return pool[first : first + MAX_SWEEPS]


def parse_sweeps(text: str, n_sweeps: int) -> list[int] | None:
    """Return the sweeps that "0-5, 8" names, in order; None for all of them ("").

    Raises
    ------
    RecordingError
        If the text names no sweeps, or sweeps that are not there.
    """
    if not text.strip():
        return None
    sweeps: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= n_sweeps:
            raise RecordingError(
                f"'{part.strip()}' names no sweeps of this recording: give numbers from 0 to {n_sweeps - 1}, "
                "such as 0-5, 8"
            )
        sweeps.update(range(first, last + 1))
    return sorted(sweeps)


def joined(
    source: TraceSource,
    sweeps: Sequence[int],
    channel: int,
    start: float,
    stop: float,
    pixels: int,
    mode: SweepMode,
    step: float = 0.0,
) -> Line | None:
    """Return several sweeps as one polyline with NaN between them.

    Parameters
    ----------
    step : distance between stacked sweeps, in the channel's unit; the first sweep is on top.
    """
    starts = source.recording.sweep_starts
    pieces: list[Line] = []
    visible = list(sweeps)
    if mode is SweepMode.IN_TIME:
        ends = [starts[s] + source.recording.n_samples(s, channel)
                / source.recording.channels[channel].sampling_rate for s in sweeps]  # fmt: skip
        visible = [s for s, end in zip(sweeps, ends, strict=True) if starts[s] <= stop and end >= start]
    if not visible:
        return NOTHING
    bins = int(np.clip(_POINTS // (2 * len(visible)), 32, pixels))
    for row, sweep in enumerate(visible):
        shift = float(starts[sweep]) if mode is SweepMode.IN_TIME else 0.0
        line = source.line(sweep, channel, start - shift, stop - shift, bins)
        if line is None:
            return None
        pieces.append(Line(line.times + shift, line.values - np.float32(row * step) if step else line.values))
    gap = np.full(1, np.nan, np.float32)
    xs = [part for one in pieces for part in (one.times, one.times[-1:])]
    ys = [part for one in pieces for part in (one.values, gap[: len(one.times[-1:])])]
    return Line(np.concatenate(xs), np.concatenate(ys))


def y_ranges(
    extrema: Sequence[tuple[float, float] | None], units: Sequence[str], mode: ScaleMode
) -> list[tuple[float, float]]:
    """Return the y range of each channel from its extrema in view.

    "Real" gives channels of one unit the same range, "same" the same span about their own middle, "by
    channel" each its own.
    """
    own = [_padded(one) for one in extrema]
    if mode is ScaleMode.BY_CHANNEL:
        return own
    result = []
    for (low, high), unit in zip(own, units, strict=True):
        group = [r for r, u, e in zip(own, units, extrema, strict=True) if u == unit and e is not None]
        if not group:
            result.append((low, high))
        elif mode is ScaleMode.REAL:
            result.append((min(r[0] for r in group), max(r[1] for r in group)))
        else:
            half = max(r[1] - r[0] for r in group) / 2
            result.append(((low + high) / 2 - half, (low + high) / 2 + half))
    return result


def _padded(extrema: tuple[float, float] | None) -> tuple[float, float]:
    if extrema is None:
        return -1.0, 1.0
    low, high = extrema
    margin = 0.06 * (high - low) or abs(low) * 0.05 or 1.0
    return low - margin, high + margin
