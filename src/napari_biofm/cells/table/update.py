"""A table of cells after an edit of the masks: only the cells that were touched are measured again.

The pixels around the touched cells are cut out of the image (`cut_out`), rows are made from them (`measure_cells`,
the part that costs time), and put in place of the former rows (`replace_cells`). What an edit costs does not grow
with the image: the cut-outs are as large as the cells and a margin for the filters of the measures.

What keeps a class that was given by hand is the label value: an edit that reshapes a cell leaves its class, and
label values are never given twice. An edit that gives cells other label values ("link over time") moves their
classes along in the same step, see `teaching.relabelling`. Masks that were replaced by something that is no edit may give a
label value to another cell; `moved_away` finds these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.boxes import clusters, find_boxes
from napari_biofm.cells.table.cell_table import (
    BASELINE,
    Embeddings,
    assemble,
    check_rows,
    named,
    observations,
)
from napari_biofm.cells.table.measure import SCALES, measure
from napari_biofm.images.edit.index import Box
from napari_biofm.types import Image, Labels, Vectors

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

MARGIN = int(4 * max(SCALES)) + 1  # pixels around a cell that the filters of the measures see
SMALL = 1 << 16  # pixels of a cut-out below which its size does not matter


class Readable(Protocol):
    """Pixels of which parts can be read: an array, or a lazy one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all of it."""
        ...

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Cutout:
    """The pixels around some cells.

    Attributes
    ----------
    labels : (Y, X) or (Z, Y, X) int; the cells that are meant, all others blanked.
    image : the same region of the image, None where shapes alone are measured.
    origin : where the region begins in the label image.
    """

    labels: Labels
    image: Image | None
    origin: tuple[int, ...]

    @property
    def stop(self) -> tuple[int, ...]:
        """Where the region ends in the label image."""
        return tuple(o + n for o, n in zip(self.origin, self.labels.shape, strict=True))


@dataclass(frozen=True)
class CellRows:
    """Fresh rows of a table.

    Attributes
    ----------
    touched : (k,) label values that were asked for; those without a row are gone.
    obs : a row per cell that exists, ascending by label.
    columns : names of the measures.
    embeddings : vectors of these rows by name, the measures among them.
    """

    touched: NDArray[np.int64]
    obs: DataFrame
    columns: list[str]
    embeddings: dict[str, Vectors]


def cut_out(
    labels: Readable, image: Readable | None, boxes: Mapping[int, Box | None], margin: int = MARGIN
) -> list[Cutout]:
    """Read the regions of some cells.

    Parameters
    ----------
    labels, image : array-likes of one plane or volume; only the regions are read.
    boxes : by label value, a box that holds the cell as it is now; None for a cell that is gone.
    margin : pixels around them.
    """
    cut = []
    there = {label: box for label, box in boxes.items() if box is not None}
    ndim = len(labels.shape)
    for members, (low, high) in clusters(there, SMALL):
        start = np.maximum(low - margin, 0)
        stop = np.minimum(high + margin, labels.shape[:ndim])
        region = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        part = np.asarray(labels[region])
        mine = np.where(np.isin(part, np.asarray(members, part.dtype)), part, 0)
        picture = None if image is None else np.asarray(image[region])
        cut.append(Cutout(mine, picture, tuple(int(a) for a in start)))
    return cut


def boxes_of(labels: Labels, touched: NDArray[np.integer]) -> dict[int, Box | None]:
    """Find the boxes of some cells in a whole label image."""
    wanted = np.where(np.isin(labels, touched), labels, 0)
    found = find_boxes(wanted)
    return {int(label): found.get(int(label)) for label in touched}


def measure_cells(cutouts: Sequence[Cutout], touched: Iterable[int], layer: str, ndim: int) -> CellRows:
    """Measure the cells of cut-outs.

    Parameters
    ----------
    cutouts : each cell lies in one of them as a whole.
    touched : label values that are meant, also those of cells that are gone.
    layer : unique id of the labels layer. ndim : axes of its cells.
    """
    import pandas as pd

    ids = np.unique(np.asarray(list(touched), np.int64))
    nothing = Cutout(np.zeros((1,) * ndim, np.int32), None, (0,) * ndim)
    frames, measured = [], []
    names: list[str] = []
    for cutout in cutouts or [nothing]:
        values, measures, names = measure(cutout.image, cutout.labels)
        frames.append(observations(cutout.labels, values, measures, names, layer, cutout.origin))
        measured.append(measures)
    obs, together = pd.concat(frames), np.concatenate(measured)
    order = np.argsort(obs["label"].to_numpy(np.int64), kind="stable")
    return CellRows(ids, obs.iloc[order], names, {BASELINE: together[order].astype(np.float32)})


def replace_cells(table: AnnData, rows: CellRows) -> AnnData:
    """Return the table with fresh rows in place of the former rows of the same cells.

    Parameters
    ----------
    table : is left as it is.
    rows : of the touched cells; embeddings they lack are NaN for these cells until they are computed, so that no
        classifier uses a stale vector.

    Returns
    -------
    AnnData. Classes by hand and groups of cells that live on are kept, also those of reshaped cells.
    """
    import pandas as pd

    before = table.obs["label"].to_numpy(np.int64)
    keep = ~np.isin(before, rows.touched)
    fresh = rows.obs.copy()
    _inherit(fresh, table.obs, before)
    old = table.obs.iloc[np.flatnonzero(keep)]
    obs = pd.concat([old, fresh]) if len(old) and len(fresh) else (old if len(old) else fresh)
    order = np.argsort(obs["label"].to_numpy(np.int64), kind="stable")
    embeddings = {}
    for name in table.obsm:
        former = np.asarray(table.obsm[name])
        new = rows.embeddings.get(name, np.full((len(fresh), former.shape[1]), np.nan, np.float32))
        if name == BASELINE:
            new = _in_columns(
                new, rows.columns, list(table.uns["blocks"][BASELINE].get("columns", rows.columns))
            )
        check_rows(name, new, len(fresh), former.shape[1])
        embeddings[name] = np.concatenate([former[keep], new]).astype(np.float32)[order]
    made = assemble(obs.iloc[order].copy(), embeddings, str(table.uns["vectors"]), dict(table.uns["blocks"]))
    made.uns.update({k: v for k, v in table.uns.items() if k not in made.uns or k == "layer"})
    return made


def update_table(
    table: AnnData,
    labels: Labels,
    changed: Iterable[int],
    *,
    image: Image | None = None,
    vectors: Embeddings | None = None,
) -> AnnData:
    """Return the table after an edit of the masks; only the cells in `changed` are measured again.

    For whole label images at hand; see `cut_out` for edits that should not cost the whole image.

    Parameters
    ----------
    table : the table before the edit; it is left as it is.
    labels, image : as in `make_table`, after the edit.
    changed : label values that were added, removed or reshaped.
    vectors : rows of the cells in `changed` that exist now, ascending.
    """
    touched = np.unique(np.asarray(list(changed), np.int64))
    touched = touched[touched > 0]
    cutouts = cut_out(labels, image, boxes_of(labels, touched))
    rows = measure_cells(cutouts, touched, layer_of(table), labels.ndim)
    rows.embeddings.update(named(vectors, str(table.uns["vectors"])))
    return replace_cells(table, rows)


def layer_of(table: AnnData) -> str:
    """Return the unique id of the layer whose cells are in a table."""
    return str(table.obs["layer"].iloc[0]) if table.n_obs else str(table.uns.get("layer", ""))


@dataclass(frozen=True)
class Measured:
    """What a table says of its cells, to be compared with masks that were replaced.

    Attributes
    ----------
    values : (n,) label values. centres : (n, ndim) pixels. measures : (n, m). columns : their names.
    """

    values: NDArray[np.int64]
    centres: NDArray[np.float64]
    measures: Vectors
    columns: list[str]

    @classmethod
    def of(cls, table: AnnData) -> Measured:
        """Take it from a table."""
        axes = sorted(c for c in table.obs.columns if c.startswith("centroid-"))
        return cls(
            table.obs["label"].to_numpy(np.int64),
            table.obs[axes].to_numpy(float),
            np.asarray(table.obsm[BASELINE], np.float32),
            [str(name) for name in table.uns["blocks"][BASELINE].get("columns", [])],
        )

    def differing(self, rows: CellRows) -> NDArray[np.int64]:
        """Return label values that are new, gone, or measure otherwise than this says."""
        values = rows.obs["label"].to_numpy(np.int64)
        axes = sorted(c for c in rows.obs.columns if c.startswith("centroid-"))
        now = np.concatenate(
            [
                rows.obs[axes].to_numpy(float),
                _in_columns(rows.embeddings[BASELINE], rows.columns, self.columns),
            ],
            1,
        )
        before = np.concatenate([self.centres, self.measures], 1)
        both, here, there = np.intersect1d(values, self.values, assume_unique=True, return_indices=True)
        same = np.isclose(now[here], before[there], rtol=1e-4, atol=1e-3, equal_nan=True).all(1)
        return np.setdiff1d(np.union1d(values, self.values), both[same])


def changed_labels(table: AnnData, labels: Labels, image: Image | None = None) -> NDArray[np.int64]:
    """Return label values that are new, gone, or differ in their measures from what the table says.

    For masks that were replaced as a whole, where nobody kept account of the strokes.
    """
    values = np.unique(labels)
    whole = [Cutout(labels, image, (0,) * labels.ndim)]
    said = Measured.of(table)
    if image is None:
        shapes = {name: i for i, name in enumerate(said.columns) if "intensity_mean" not in name}
        names = measure(None, np.ones((2,) * labels.ndim, np.int32))[2]
        kept = [shapes[name] for name in names if name in shapes]
        said = Measured(said.values, said.centres, said.measures[:, kept], [said.columns[i] for i in kept])
    return said.differing(measure_cells(whole, values[values > 0], layer_of(table), labels.ndim))


def moved_away(before: AnnData, after: AnnData, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return those of `labels` whose cell lies elsewhere now: it is another cell with the same label value.

    A cell is another one where its centre moved by more than the diameter of a circle (a sphere) of the larger
    of both areas.
    """
    axes = sorted(c for c in after.obs.columns if c.startswith("centroid-"))
    columns = ["area", *axes]
    old, new = (t.obs.set_index("label")[columns] for t in (before, after))
    both = np.intersect1d(np.intersect1d(old.index, new.index), labels)
    a, b = old.loc[both].to_numpy(float), new.loc[both].to_numpy(float)
    distance = np.linalg.norm(a[:, 1:] - b[:, 1:], axis=1)
    area = np.maximum(a[:, 0], b[:, 0])
    diameter = 2 * np.sqrt(area / np.pi) if len(axes) == 2 else 2 * np.cbrt(3 * area / (4 * np.pi))
    return np.asarray(both[distance > diameter], np.int64)


# ------------------------------------------------------------------ parts


def _in_columns(measures: Vectors, names: list[str], wanted: list[str]) -> Vectors:
    """Put measures into the columns of a table; NaN where the table has one that was not measured now."""
    if names == wanted or not wanted:
        return measures
    at = {name: i for i, name in enumerate(names)}
    out = np.full((len(measures), len(wanted)), np.nan, np.float32)
    for i, name in enumerate(wanted):
        if name in at:
            out[:, i] = measures[:, at[name]]
    return out


def _inherit(fresh: Any, before: Any, labels_before: NDArray[np.int64]) -> None:
    """Give reshaped cells the class by hand and the group they had; a new cell gets the common group."""
    wanted = fresh["label"].to_numpy(np.int64)
    at = np.minimum(np.searchsorted(labels_before, wanted), max(len(labels_before) - 1, 0))
    there = labels_before[at] == wanted if len(labels_before) else np.zeros(len(wanted), bool)
    groups = before["group"].astype(str).unique()
    for column, otherwise in (("class_by_hand", ""), ("group", groups[0] if len(groups) == 1 else "")):
        known = before[column].astype(object).to_numpy()
        fresh[column] = np.where(there, known[at], otherwise) if len(known) else otherwise
