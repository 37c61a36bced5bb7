"""Cells that overlap, taken apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.api.images import read_masks
from napari_biofm.types import Labels, LazyArray, ProgressListener, RecordingError, run_task

if TYPE_CHECKING:
    from napari_biofm.signals.calcium.demix import Demixed


def demix(
    movie: LazyArray | str | Path,
    masks: Labels | str | Path,
    frame_rate: float | None = None,
    *,
    grow: int = 4,
    rounds: int = 3,
    dark_level: float = 0.0,
    progress: ProgressListener | None = None,
) -> Demixed:
    """Take cells apart that overlap, by non-negative matrix factorisation that begins at their masks.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices, or the path of one; never read whole.
    masks : (Y, X) labels, or the path of a label image.
    frame_rate : Hz; needed where the file does not say.
    grow : pixels by which a cell may reach beyond its mask.
    rounds : of courses, then footprints.
    dark_level : what a pixel without light reads, for dF/F.
    progress : called with each step.

    Returns
    -------
    Demixed
        `weights` (n, Y, X), `traces` and `dff` (n, T), `labels` (n,).

    Raises
    ------
    RecordingError
        If shapes do not fit, there are no cells, or nobody says the frame rate.
    """
    from napari_biofm.images.io.movies import open_movie
    from napari_biofm.signals.calcium.demix import demix as task_of
    from napari_biofm.timeline.metadata import chosen_rate

    stated = None
    if isinstance(movie, str | Path):
        source = open_movie(Path(movie))
        movie, stated = source.frames, source.frame_rate
    rate, _ = chosen_rate(frame_rate, None, stated)
    if rate is None:
        raise RecordingError("the movie does not say its frame rate; give it in Hz (frame_rate)")
    labels = read_masks(masks) if isinstance(masks, str | Path) else np.asarray(masks)
    return run_task(task_of(movie, labels, rate, grow=grow, rounds=rounds, dark_level=dark_level), progress)
