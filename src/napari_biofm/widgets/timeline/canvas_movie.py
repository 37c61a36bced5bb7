"""The canvas frame by frame, with the running trace under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import n_frames, show_frame
from napari_biofm.timeline.movie_file import TraceStrip, strip_of_cells

STRIP_HEIGHT = 70  # pixels


def canvas_pictures(
    viewer: Any,
    controller: TimelineController,
    first: int,
    last: int,
    stopped: Callable[[], bool],
) -> Iterator[np.ndarray]:
    """Step through the movie and yield (Y, X, 3) pictures of the canvas with the trace under it.

    Parameters
    ----------
    viewer : napari viewer.
    controller : of the timeline; the trace of the first selected cell that has one is drawn.
    first, last : frames, the last counted.
    stopped : asked before each frame.
    """
    movie: Any = controller.movie
    strip: TraceStrip | None = None
    clock = controller.clock
    for frame in range(first, min(last, n_frames(movie) - 1) + 1):
        show_frame(viewer, movie, frame)
        QApplication.processEvents()
        if stopped():
            return
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        if clock is not None:
            if strip is None:
                labels, width = controller.selected_labels(), picture.shape[1]
                recordings = controller.recordings.values()
                strip = strip_of_cells(recordings, controller.events(), clock, labels, width, STRIP_HEIGHT)
            picture = np.concatenate([picture, strip.at(clock.time_of(frame))])
        yield picture
