"""What analyses of traces share: the traces as one array, where the cells lie, files that a parameter names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.description import Source
from napari_biofm.types import RecordingError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Traces of cells.

    Attributes
    ----------
    ids : (n,) labels. values : (n, T) float64, NaN marks gaps. rate : Hz. unit : of the values.
    masks : (Y, X) labels, or None.
    """

    ids: NDArray[np.int64]
    values: Floats
    rate: float
    unit: str
    masks: NDArray[np.int32] | None

    @property
    def times(self) -> Floats:
        """(T,) seconds."""
        return np.arange(self.values.shape[1]) / self.rate

    def centres(self) -> Floats:
        """(n, 2) y and x of each cell in pixels; NaN where its mask is not there."""
        found = np.full((len(self.ids), 2), np.nan)
        if self.masks is not None:
            for i, label in enumerate(self.ids.tolist()):
                at = np.argwhere(self.masks == label)
                if len(at):
                    found[i] = at.mean(axis=0)
        return found

    def filled(self) -> Floats:
        """(n, T) with lines drawn over gaps; cells without any number are 0."""
        values = self.values.copy()
        for row in values:
            good = np.isfinite(row)
            if not good.any():
                row[:] = 0.0
            elif not good.all():
                row[:] = np.interp(np.arange(len(row)), np.flatnonzero(good), row[good])
        return values

    def scores(self) -> Floats:
        """(n, T) filled, mean 0 and standard deviation 1; cells that do not change are 0."""
        values = self.filled()
        values -= values.mean(axis=1, keepdims=True)
        spread = values.std(axis=1, keepdims=True)
        return np.divide(values, spread, out=np.zeros_like(values), where=spread > 1e-12)


def cells_of(source: Source, masks: str = "", *, least: int = 1, any_signal: bool = False) -> Cells:
    """Return the traces of a source as one array.

    Parameters
    ----------
    source : with a recording.
    masks : path of a label image, where the recording does not know its masks.
    least : cells that are needed.
    any_signal : whether channels that are no cells are taken, too.

    Raises
    ------
    RecordingError
        If it holds no cells, too few, or traces of different lengths or rates.
    """
    from napari_biofm.api.signals import channels_of

    recording = source.the_recording
    if not recording.is_cells and not any_signal:
        raise RecordingError(
            f"{recording.name} holds no traces of cells: make them with `napari-biofm traces`"
        )
    channels = list(range(recording.n_channels)) if recording.is_cells else channels_of(recording, None)
    if len(channels) < least:
        raise RecordingError(f"{recording.name} has {len(channels)} cells; this needs {least} or more")
    rates = {recording.channels[c].sampling_rate for c in channels}
    rows = [np.asarray(recording.values(0, c), np.float64) for c in channels]
    if len(rates) != 1 or len({len(row) for row in rows}) != 1:
        raise RecordingError(
            f"{recording.name}: traces differ in length or rate; choose one part of the file"
        )
    labels = recording.labels[channels]
    ids = labels if recording.is_cells else np.array(channels, np.int64)
    picture = recording.rois
    if masks:
        from napari_biofm.api.images import read_masks

        picture = np.asarray(read_masks(given_file(masks)), np.int32)
    return Cells(ids, np.stack(rows), rates.pop(), recording.channels[channels[0]].unit, picture)


def given_file(path: str) -> Path:
    """Return a file that a parameter names, or raise where there is none."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise RecordingError(f"{path} does not exist.")
    return found


def row_of(cells: Cells, cell: int | None) -> int:
    """Return the row of a cell, the first where none is asked for.

    Raises
    ------
    RecordingError
        If there is no such cell.
    """
    if cell is None:
        return 0
    rows = np.flatnonzero(cells.ids == cell)
    if not len(rows):
        raise RecordingError(f"no cell {cell}; there are {', '.join(map(str, cells.ids[:20].tolist()))}")
    return int(rows[0])


def fdr(p: Floats) -> Floats:
    """Return p-values corrected for many cells (Benjamini & Hochberg, J R Stat Soc B 57:289, 1995); NaN stays."""
    good = np.flatnonzero(np.isfinite(p))
    found = np.full(len(p), np.nan)
    order = good[np.argsort(p[good])]
    ranked = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return found
