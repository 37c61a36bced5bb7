"""The cells of a Labels layer as CSV: what is exported equals what the viewer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cells.table.export import write_rows


def write_masks(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write masks for other programs; the ending says which: GeoJSON, ImageJ ROIs, COCO or PNG.

    Parameters
    ----------
    path : file to write.
    data : labels.
    meta : napari's layer attributes; classes are taken from the column `class_by_hand` or `class` of `features`.
    """
    from napari_biofm.images.io.exchange.formats import write_cells

    features = meta.get("features")
    classes: dict[int, str] = {}
    if features is not None and "index" in features:
        for column in [name for name in ("class", "class_by_hand") if name in features]:
            named = zip(features["index"], features[column], strict=True)
            classes = {
                int(label): str(name) for label, name in named if isinstance(name, str) and name
            } or classes
    write_cells(Path(path), np.asarray(data), classes, str(meta.get("name", "")))
    return [path]


def write_cells_csv(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one row per label: its id, area, centroid, and the columns of `layer.features`.

    Parameters
    ----------
    path : file to write.
    data : labels, any number of axes.
    meta : napari's layer attributes; `features` and `scale` are used.
    """
    import pandas as pd
    from skimage.measure import regionprops_table

    labels = np.asarray(data)
    table = pd.DataFrame(regionprops_table(labels, properties=("label", "area", "centroid")))
    scale = np.asarray(meta.get("scale", np.ones(labels.ndim)), float)
    for axis in range(labels.ndim):
        table[f"centroid-{axis}"] *= scale[axis]
    features = meta.get("features")
    if features is not None and "label" in features:
        extra = [c for c in features.columns if c not in table.columns or c == "label"]
        table = table.merge(pd.DataFrame(features)[extra], on="label", how="left")
    write_rows(table, Path(path))
    return [path]
