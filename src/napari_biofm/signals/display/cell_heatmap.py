"""All cells of a recording as one image: one row per cell, brightness is the trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.curation import accepted_cells
from napari_biofm.signals.recording import Recording
from napari_biofm.types import Progress, Task

MAX_COLUMNS = 24_000  # wider images do not fit into one picture; frames are then joined by their maximum


def heat_image(recording: Recording) -> Task[NDArray[np.uint8]]:
    """Return (n_cells, columns) uint8: each trace from its own baseline, one scale for all cells.

    Frames that do not fit are joined by their maximum, so that no transient disappears.
    """
    n_cells, n_frames = recording.n_channels, recording.n_samples()
    join = -(-n_frames // MAX_COLUMNS)
    columns = -(-n_frames // join)

    def row(channel: int) -> NDArray[np.float32]:
        values = _from_baseline(recording.values(0, channel), recording.channels[channel].unit)
        if join == 1:
            return values
        padded = np.pad(values, (0, columns * join - n_frames), mode="edge")
        return np.asarray(padded.reshape(columns, join).max(axis=1), np.float32)

    some = [row(channel)[:: max(columns // 2000, 1)] for channel in range(0, n_cells, max(n_cells // 100, 1))]
    gain = np.float32(255.0 / max(float(np.percentile(np.concatenate(some), 99.7)), 1e-6))
    heat = np.empty((n_cells, columns), np.uint8)
    for channel in range(n_cells):
        if channel % 4 == 0:
            yield Progress(channel, n_cells, "reading the traces")
        heat[channel] = np.clip(row(channel) * gain, 0, 255)
    return heat


def row_order(recording: Recording, heat: NDArray[np.uint8], by: str = "id") -> NDArray[np.intp]:
    """Return the channels of a heatmap in the order of its rows.

    Parameters
    ----------
    heat : (n_cells, columns), see `heat_image`.
    by : "id", "time" of the brightest moment, "activity", or "accepted": first the regions that are cells, as the user said
        or else the file of results (suite2p's iscell, CaImAn's components).
    """
    if by == "time":
        return np.argsort(np.argmax(heat, axis=1), kind="stable")
    if by == "activity":
        return np.argsort(-heat.astype(np.float32).std(axis=1), kind="stable")
    if by == "accepted":
        return np.argsort(~accepted_cells(recording), kind="stable")
    return np.arange(len(heat))


def _from_baseline(values: NDArray[np.float32], unit: str) -> NDArray[np.float32]:
    """Return what a trace rises above its 20th percentile; fluorescence as a share of it."""
    values = np.nan_to_num(values, copy=False)
    base = np.float32(np.percentile(values[:: max(len(values) // 4000, 1)], 20))
    rise = values - base
    return rise if unit == "dF/F" else rise / np.float32(max(abs(float(base)), 1e-9))
