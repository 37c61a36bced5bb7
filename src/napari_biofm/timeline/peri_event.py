"""What happens around events: the mean of the movie and of traces, aligned to them."""

from __future__ import annotations

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
    seconds : (n,) times of the events. Those too close to the ends for the whole window are left out;
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
    if len(frames) == 0:
        raise TimelineError(
            f"None of {len(seconds)} events has {before} frames before and {after} after it in the movie."
        )
    if len(frames) > MOST_EVENTS:
        frames = frames[np.linspace(0, len(frames) - 1, MOST_EVENTS).astype(int)]
    total = np.zeros((before + after, *movie.shape[1:3]), np.float64)
    for i, frame in enumerate(frames):
        total += np.asarray(movie[int(frame) - before : int(frame) + after])
        if i % 16 == 0:
            yield Progress(i, len(frames), f"event {i + 1} of {len(frames)}")
    mean = (total / len(frames)).astype(np.float32)
    return mean - mean[:before].mean(axis=0), len(frames)


def peri_event_traces(
    values: NDArray[np.floating],
    sampling_rate: float,
    start_s: float,
    seconds: NDArray[np.float64],
    before_s: float,
    after_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Average traces around events, each event between its samples.

    Parameters
    ----------
    values : (n_samples,) or (n_traces, n_samples).
    sampling_rate : Hz.
    start_s : second of the first sample.
    seconds : (n,) times of the events.
    before_s, after_s : length of the window.

    Returns
    -------
    lags : (m,) seconds from the event.
    mean : (m,) or (n_traces, m).
    error : standard error of the mean, same shape; NaN for a single event.
    n : number of events with the whole window inside.
    """
    traces = np.atleast_2d(np.asarray(values, float))
    lags = np.arange(-round(before_s * sampling_rate), round(after_s * sampling_rate) + 1) / sampling_rate
    place = (np.asarray(seconds, float) - start_s) * sampling_rate
    inside = (place + lags[0] * sampling_rate >= 0) & (
        place + lags[-1] * sampling_rate <= traces.shape[1] - 1
    )
    place = place[inside]
    if len(place) == 0:
        empty = np.full((len(traces), len(lags)), np.nan)
        return lags, empty if np.ndim(values) == 2 else empty[0], empty.copy(), 0
    total = np.zeros((len(traces), len(lags)))
    squares = np.zeros_like(total)
    steps = np.round(lags * sampling_rate).astype(int)
    for at in place:
        left = np.minimum(int(np.floor(at)) + steps, traces.shape[1] - 2)
        part = at - np.floor(at)
        cut = (1 - part) * traces[:, left] + part * traces[:, left + 1]
        total += cut
        squares += cut**2
    n = len(place)
    mean = total / n
    spread = (
        np.sqrt(np.maximum(squares / n - mean**2, 0) * n / (n - 1)) if n > 1 else np.full_like(mean, np.nan)
    )
    error = spread / np.sqrt(n)
    return (lags, mean, error, n) if np.ndim(values) == 2 else (lags, mean[0], error[0], n)
