"""What happens around events: the mean of the movie and of traces, aligned to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.clock import Clock
from napari_biofm.types import LazyArray, Progress, Task, TimelineError

MOST_EVENTS = 2000  # of the movie's average: more change the mean little and are read from disk for long


def peri_event_movie(
    movie: LazyArray, clock: Clock, seconds: NDArray[np.float64], before: int = 10, after: int = 30
) -> Task[tuple[NDArray[np.float32], int]]:
    """Average the movie around events: what the field does when this cell fires.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    clock : of the movie.
    seconds : (n,) times of the events. Those too close to the ends or a pause for the whole window are left out;
        of more than 2,000 an even choice is taken.
    before, after : frames before the event's frame, and from it on.

    Returns
    -------
    mean : (before + after, Y, X) float32, the mean of the frames before the event subtracted.
    n : number of events used.

    Raises
    ------
    TimelineError
        If no event has its whole window inside the movie.
    """
    if before < 1 or after < 1:
        raise TimelineError(f"The window needs frames before and after, not {before} and {after}.")
    seconds = np.asarray(seconds, float)
    frames = clock.frames_at(seconds[clock.covers(seconds)])
    frames = frames[(frames >= before) & (frames + after <= min(clock.n_frames, movie.shape[0]))]
    frames = frames[clock.runs(frames - before, frames + after - 1)]
    if len(frames) == 0:
        raise TimelineError(
            f"None of {len(seconds)} events has {before} frames before and {after} after it in the movie without a "
            "pause between them."
        )
    if len(frames) > MOST_EVENTS:
        frames = frames[np.linspace(0, len(frames) - 1, MOST_EVENTS).astype(int)]
    total = np.zeros((before + after, *movie.shape[1:3]), np.float64)
    count = np.zeros(total.shape, np.int32)
    for i, frame in enumerate(frames):
        cut = np.asarray(movie[int(frame) - before : int(frame) + after])
        there = np.isfinite(cut)
        total += np.where(there, cut, 0)
        count += there
        if i % 16 == 0:
            yield Progress(i, len(frames), f"event {i + 1} of {len(frames)}")
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0).astype(np.float32)
    return mean - mean[:before].mean(axis=0), len(frames)


def own_events_average(
    values: NDArray[np.floating],
    clock: Clock,
    seconds: Sequence[NDArray[np.float64]],
    before_s: float,
    after_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Average traces of cells, each around its own events, on the frames of their movie.

    Parameters
    ----------
    values : (n_cells, n_frames) traces; NaN marks gaps, which do not count.
    clock : of the movie. Windows over a pause, or over an end of the movie, are left out.
    seconds : per cell the times of its events.
    before_s, after_s : length of the window.

    Returns
    -------
    lags : (m,) seconds from the event.
    mean, error : (m,) over all events of all cells, and the standard error; NaN where there are none.
    n : number of events used.

    Raises
    ------
    TimelineError
        If there is not one list of events per trace, or another number of frames than the clock has.
    """
    traces = np.atleast_2d(np.asarray(values, float))
    if len(traces) != len(seconds) or traces.shape[1] != clock.n_frames:
        raise TimelineError(
            f"{traces.shape[0]} traces of {traces.shape[1]} frames, events of {len(seconds)} cells, a clock of "
            f"{clock.n_frames} frames: they must fit."
        )
    steps: NDArray[np.intp] = np.arange(-round(before_s / clock.period), round(after_s / clock.period) + 1)
    cuts = [np.zeros((0, len(steps)))]
    for trace, when in zip(traces, seconds, strict=True):
        times = np.asarray(when, float)
        place = clock.fractional_frames(times[clock.covers(times)])
        left, part = np.floor(place).astype(int), place - np.floor(place)
        inside = (left + steps[0] >= 0) & (left + steps[-1] + 1 < clock.n_frames)
        left, part = left[inside], part[inside]
        running = clock.runs(left + steps[0], left + steps[-1] + 1)
        left, part = left[running, None] + steps, part[running, None]
        cuts.append((1 - part) * trace[left] + part * trace[left + 1])
    every = np.concatenate(cuts)
    n = np.isfinite(every).sum(axis=0)
    mean = np.divide(np.nansum(every, axis=0), n, out=np.full(len(steps), np.nan), where=n > 0)
    squares = np.nansum((every - mean) ** 2, axis=0)
    error = np.sqrt(np.divide(squares, n * (n - 1.0), out=np.full(len(steps), np.nan), where=n > 1))
    lags = np.asarray(steps * clock.period, np.float64)
    return lags, np.asarray(mean), np.asarray(error), len(every)
