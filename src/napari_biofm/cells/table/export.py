"""Tables out and labels in: CSV, AnnData, and label images of classes. Rows are keyed by `cell_id`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.cell_table import UNKNOWN, text
from napari_biofm.cells.table.files import read_label_rows
from napari_biofm.files import atomic_write, plain_cell, write_text
from napari_biofm.hdf5_files import check_texts
from napari_biofm.images.io.masks import looked_up
from napari_biofm.types import CellsError, Labels

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

UNKNOWN_CODE = 255


def write_csv(table: AnnData, path: Path) -> Path:
    """Write obs as CSV, one line per cell, as a whole or not at all."""
    return write_rows(table.obs, path)


def write_rows(rows: DataFrame, path: Path) -> Path:
    """Write a table as CSV, as a whole or not at all; text that begins like a formula gets an apostrophe."""
    safe = rows.rename(columns=plain_cell)
    for name in safe.columns:
        if safe[name].dtype.kind not in "biufc":
            safe = safe.assign(**{str(name): safe[name].astype(object).map(plain_cell)})
    write_text(path, safe.to_csv(index=False, lineterminator="\n"))
    return path


def write_h5ad(table: AnnData, path: Path) -> Path:
    """Write the table with all vectors as AnnData (`.h5ad`), as a whole or not at all."""
    with atomic_write(path) as partial:
        table.copy().write_h5ad(partial, compression="gzip")  # writing turns text into categories in place
    return path


def read_anndata(path: Path) -> AnnData:
    """Read any AnnData file; whatever anndata and h5py raise on a damaged one becomes a CellsError.

    Raises
    ------
    CellsError
        If it cannot be read.
    """
    import anndata

    try:
        check_texts(path)
        return anndata.read_h5ad(path)
    except Exception as error:  # damaged HDF5 files raise anything
        reason = " ".join(str(error).split())[:300]
        raise CellsError(f"{path} cannot be read as AnnData ({reason}); write or copy it again.") from error


def read_h5ad(path: Path) -> AnnData:
    """Read a table written by `write_h5ad`; text columns are text again.

    Raises
    ------
    CellsError
        If it is no table of cells.
    """
    table = read_anndata(path)
    missing = {"cell_id", "layer", "label", "class_by_hand", "predicted"} - set(table.obs.columns)
    if missing:
        raise CellsError(f"{path} is no table of cells: {', '.join(sorted(missing))} not found in obs.")
    for column in ("cell_id", "layer", "group", "class_by_hand", "predicted"):
        if column in table.obs:
            table.obs[column] = text(table, column)
    return table


def read_classes(table: AnnData, path: Path) -> dict[str, str]:
    """Read classes by hand from a CSV: `object_id,label`, the id being `cell_id`, the label value, or `image:label`.

    Returns
    -------
    class by `cell_id`.

    Raises
    ------
    CellsError
        If ids are not in the table; nothing is changed then.
    """
    of_label = {str(v): str(c) for v, c in zip(table.obs["label"], table.obs["cell_id"], strict=True)}
    ids = set(table.obs["cell_id"].astype(str))
    found, unknown = {}, []
    rows = read_label_rows(path)
    images = {row.object_id.rpartition(":")[0] for row in rows}
    mine = images if len(images) == 1 else {str(name) for name in list(table.uns.get("images", ()))[:1]}
    for row in rows:
        cell = row.object_id if row.object_id in ids else of_label.get(row.object_id)
        image, _, label = row.object_id.rpartition(":")
        if cell is None and image in mine:  # `image:label`, as tables of ours name cells
            cell = of_label.get(label)
        if cell is None:
            unknown.append(row.object_id)
        else:
            found[cell] = row.label
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise CellsError(
            f"{path}: {len(unknown)} ids are no cells of this layer: {shown}. Correct them, or choose the "
            "layer they belong to; no label was changed."
        )
    return found


def class_codes(table: AnnData, classes: Sequence[str], column: str = "predicted") -> NDArray[np.uint8]:
    """Return a code per row: 1 for the first class .. n, 255 for "unknown", 0 for none."""
    if len(classes) >= UNKNOWN_CODE:
        raise CellsError(f"There are {len(classes)} classes; a class image holds {UNKNOWN_CODE - 1} at most.")
    code = {name: i + 1 for i, name in enumerate(classes)} | {UNKNOWN: UNKNOWN_CODE}
    return np.asarray([code.get(name, 0) for name in text(table, column)], np.uint8)


def class_image(
    labels: Labels, table: AnnData, classes: Sequence[str], column: str = "predicted"
) -> NDArray[np.uint8]:
    """Return an image of class codes, in the shape of `labels`, from the table's column."""
    codes = np.concatenate([np.zeros(1, np.uint8), class_codes(table, classes, column)])
    return looked_up(codes, table.obs["label"].to_numpy(np.int64), labels)
