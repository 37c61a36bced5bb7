"""The canvas frame by frame, with the running trace under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_biofm.timeline.movie_file import TraceStrip
from napari_biofm.widgets.timeline.movies import n_frames, show_frame
from napari_biofm.widgets.timeline.state import TimelineState

STRIP_HEIGHT = 70  # pixels


def canvas_pictures(
    state: TimelineState, labels: list[int], first: int, last: int, stopped: Callable[[], bool]
) -> Iterator[np.ndarray]:
    """Step through the movie and yield (Y, X, 3) pictures of the canvas with the trace under it.

    Parameters
    ----------
    state : of the dock.
    labels : the selected cells; the trace of the first one that has one is drawn.
    first, last : frames, the last counted.
    stopped : asked before each frame.
    """
    movie: Any = state.movie
    strip: TraceStrip | None = None
    clock = state.clock
    for frame in range(first, min(last, n_frames(movie) - 1) + 1):
        show_frame(state.viewer, movie, frame)
        QApplication.processEvents()
        if stopped():
            return
        picture = state.viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        if clock is not None:
            if strip is None:
                strip = _strip(state, labels, picture.shape[1])
            picture = np.concatenate([picture, strip.at(clock.time_of(frame))])
        yield picture


def _strip(state: TimelineState, labels: list[int], width: int) -> TraceStrip:
    """Return the strip of the selected cell's trace, or of the number of events in each frame."""
    clock: Any = state.clock
    for entry in state.session.recordings.values():
        for channel, about in enumerate(entry.recording.channels):
            if about.label in labels and entry.recording.n_samples(0, channel) == clock.n_frames:
                values = entry.recording.values(0, channel)
                return TraceStrip(
                    clock.times, values, width, STRIP_HEIGHT, f"cell {about.label} ({about.unit})"
                )
    edges = np.append(clock.times, clock.at_frames([clock.n_frames]))
    counts = np.histogram(state.events().seconds, edges)[0]
    return TraceStrip(clock.times, counts.astype(float), width, STRIP_HEIGHT, "events per frame")
