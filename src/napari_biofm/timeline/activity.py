"""Activity of cells: how bright each is in each frame, one byte each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.cell_positions import is_of_movie
from napari_biofm.timeline.clock import Clock
from napari_biofm.types import Progress, Task, TimelineError

if TYPE_CHECKING:
    from napari_biofm.signals import Recording

BACKGROUND = 0  # level of pixels outside all cells; cells have 1 to 255
LOW, HIGH = 20.0, 99.5  # percentiles of a trace that become the darkest and the brightest level


class CellLevels:
    """Brightness of each cell in each frame, one byte each.

    Parameters
    ----------
    labels : (n,) ascending label values.
    levels : (n_frames, n + 1) uint8; column 0 is the background.
    """

    def __init__(self, labels: NDArray[np.int64], levels: NDArray[np.uint8]) -> None:
        self.labels = labels
        self.levels = levels


def dense_index(labels: NDArray[np.integer[Any]], ids: NDArray[np.int64]) -> NDArray[np.uint16 | np.uint32]:
    """Return for each pixel the place of its label among `ids`, counted from 1; 0 where it is none of them.

    Parameters
    ----------
    labels : (Y, X).
    ids : (n,) ascending label values.
    """
    kind = np.uint16 if len(ids) < 2**16 - 1 else np.uint32
    if len(ids) == 0:
        return np.zeros(labels.shape, kind)
    place = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.where(ids[place] == labels, place + 1, 0).astype(kind)


def cell_levels(recording: Recording, clock: Clock) -> Task[CellLevels]:
    """Scale the traces of cells to one byte per frame, each between its own percentiles.

    Parameters
    ----------
    recording : whose channels are cells; measured on the movie's frames, or on any other time axis that
        is the clock's, of which the sample nearest to the middle of each frame is taken.
    clock : of the movie.

    Returns
    -------
    CellLevels
        Progress counts cells.

    Raises
    ------
    TimelineError
        If no channel is a cell.
    """
    channels = [c for c, about in enumerate(recording.channels) if about.label is not None]
    if not channels or recording.n_sweeps == 0:
        raise TimelineError(f"{recording.name} holds no traces of cells; measure them from the movie first.")
    labels = np.array([recording.channels[c].label for c in channels], np.int64)
    order = np.argsort(labels)
    levels = np.zeros((clock.n_frames, len(channels) + 1), np.uint8)
    of_movie = is_of_movie(recording, clock)
    for row, i in enumerate(order):
        channel = channels[int(i)]
        trace = recording.values(0, channel)
        if not of_movie:
            middle = clock.at_frames(np.arange(clock.n_frames) + 0.5) - recording.sweep_starts[0]
            nearest = np.round(middle * recording.channels[channel].sampling_rate).astype(int)
            trace = trace[np.clip(nearest, 0, len(trace) - 1)]
        levels[:, row + 1] = _bytes(trace)
        if row % 256 == 0:
            yield Progress(row, len(order), f"brightness of cell {row + 1} of {len(order)}")
    return CellLevels(labels[order], levels)


def _bytes(trace: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a trace as levels 1 to 255; flat where it does not vary, 1 where it is NaN."""
    sample = trace[:: max(1, len(trace) // 4000)]
    sample = sample[np.isfinite(sample)]
    if len(sample) == 0:
        return np.ones(len(trace), np.uint8)
    low, high = np.percentile(sample, (LOW, HIGH))
    if not high > low:
        return np.ones(len(trace), np.uint8)
    scaled = (np.nan_to_num(trace, nan=low) - low) * np.float32(254 / (high - low))
    return np.asarray(1 + np.clip(scaled, 0, 254), np.uint8)
