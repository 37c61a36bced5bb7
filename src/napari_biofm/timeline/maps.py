"""Numbers per cell: as an image over the field, and over time as a raster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.colours import class_colours
from napari_biofm.timeline.activity import dense_index
from napari_biofm.timeline.cell_positions import CellEvents

if TYPE_CHECKING:
    from anndata import AnnData

BY_LABEL, BY_RATE, BY_DEPTH, BY_CLASS = "label", "event rate", "depth (y)", "class"
ROW_ORDERS = (BY_LABEL, BY_RATE, BY_DEPTH, BY_CLASS)
SMOOTHED_BINS = 9


def cell_map(
    labels: NDArray[np.integer[Any]], ids: NDArray[np.int64], values: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Return an image in which each cell has its value; NaN outside cells and where there is none.

    Parameters
    ----------
    labels : (Y, X).
    ids, values : (n,) labels, in any order, and what they stand for.
    """
    order = np.argsort(ids)
    lookup = np.concatenate([[np.nan], np.asarray(values, np.float32)[order]]).astype(np.float32)
    return lookup[dense_index(labels, np.asarray(ids, np.int64)[order])]


def event_rates(
    events: CellEvents, ids: NDArray[np.int64], start: float, stop: float, imaged_s: float | None = None
) -> NDArray[np.float64]:
    """Return (n,) events per second of each cell between two times; 0 where a cell has none.

    Parameters
    ----------
    events : of the cells.
    ids : (n,) labels.
    start, stop : seconds.
    imaged_s : seconds between them during which cells could be seen, all of them if None: pauses do not count.
    """
    if not stop > start:
        return np.zeros(len(ids))
    inside = events.labels[(events.seconds >= start) & (events.seconds < stop)]
    known, counts = np.unique(inside, return_counts=True)
    rates = np.zeros(len(ids))
    if len(known):
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        rates = np.where(known[place] == ids, counts[place], 0) / (imaged_s or stop - start)
    return rates


@dataclass(frozen=True, eq=False)
class Raster:
    """Events of cells in bins of time.

    Attributes
    ----------
    counts : (n_cells, n_bins) number of events.
    kinds : (n_cells, n_bins) index into `classes` of the latest event in the bin.
    classes : names.
    edges : (n_bins + 1,) seconds.
    rate : (n_bins,) events per second and cell, of all cells together.
    """

    counts: NDArray[np.uint16]
    kinds: NDArray[np.uint8]
    classes: NDArray[np.str_]
    edges: NDArray[np.float64]
    rate: NDArray[np.float64]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The raster as a picture (n_cells, n_bins, 4): the colour of the latest event in each bin."""
        pixels = np.zeros((*self.counts.shape, 4), np.uint8)
        lit = self.counts > 0
        if lit.any():
            pixels[lit] = (255 * class_colours(self.classes)).astype(np.uint8)[self.kinds[lit]]
        return pixels

    @property
    def smooth_rate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Middle of each bin (s) and the rate as a running mean over 9 bins (events per second and cell)."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        if len(self.rate) <= SMOOTHED_BINS:
            return middle, self.rate
        return middle, np.convolve(self.rate, np.ones(SMOOTHED_BINS) / SMOOTHED_BINS, mode="same")


def raster(
    events: CellEvents, ids: NDArray[np.int64], start: float, stop: float, n_bins: int = 1000
) -> Raster:
    """Sort events into cells and bins of time.

    Parameters
    ----------
    events : sorted by time.
    ids : (n_cells,) labels in the order of the rows; ascending is not needed.
    start, stop : seconds shown.
    n_bins : number of bins.
    """
    edges = np.linspace(start, max(stop, start + 1e-9), n_bins + 1)
    counts = np.zeros((len(ids), n_bins), np.uint16)
    kinds = np.zeros((len(ids), n_bins), np.uint8)
    classes, kind = np.unique(events.classes, return_inverse=True)
    first, last = np.searchsorted(events.seconds, [edges[0], edges[-1]])
    order = np.argsort(ids)
    if len(ids) and last > first:
        labels = events.labels[first:last]
        place = np.minimum(np.searchsorted(ids, labels, sorter=order), len(ids) - 1)
        rows = order[place]
        known = np.asarray(ids)[rows] == labels
        width = edges[1] - edges[0]
        bins = np.minimum(((events.seconds[first:last] - edges[0]) / width).astype(int), n_bins - 1)
        np.add.at(counts, (rows[known], bins[known]), 1)
        kinds[rows[known], bins[known]] = np.minimum(kind[first:last][known], 255)
    per_cell = counts.sum(axis=0) / max(len(ids), 1) / (edges[1] - edges[0])
    return Raster(counts, kinds, classes, edges, per_cell)


def row_order(
    order: str,
    centres: Mapping[int, tuple[float, float]],
    events: CellEvents,
    span: tuple[float, float],
    classes: Mapping[int, str],
) -> NDArray[np.int64]:
    """Return the labels of cells in the order of the rows of a raster, from the top.

    Parameters
    ----------
    order : one of ROW_ORDERS.
    centres : (y, x) of each cell by its label.
    events : of the cells.
    span : first and last second of what is shown, for rates.
    classes : class of each cell that has one; the others come last.
    """
    ids = np.array(sorted(centres), np.int64)
    if order == BY_RATE and len(ids):
        return ids[np.argsort(-event_rates(events, ids, *span), kind="stable")]
    if order == BY_DEPTH:
        return np.array(sorted(centres, key=lambda label: centres[label]), np.int64)
    if order == BY_CLASS:
        by_class = sorted(ids.tolist(), key=lambda n: (n not in classes, classes.get(n, ""), n))
        return np.array(by_class, np.int64)
    return ids


def classes_of_cells(table: AnnData | None) -> dict[int, str]:
    """Return the class of each cell of a table that has one: by hand before what was learnt."""
    found: dict[int, str] = {}
    for column in ("predicted", "class_by_hand"):
        if table is not None and column in table.obs:
            named = zip(table.obs["label"], table.obs[column].astype(str), strict=True)
            found.update({int(label): name for label, name in named if name not in ("", "nan")})
    return found


def numbers_of_cells(table: AnnData | None) -> list[str]:
    """Return the columns of a table of cells that hold a number per cell."""
    return (
        []
        if table is None
        else [str(c) for c in table.obs if table.obs[c].dtype.kind in "fiu" and c != "label"]
    )
