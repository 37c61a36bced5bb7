"""The cells of a Labels layer as CSV: what is exported equals what the viewer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cells.table.export import write_rows


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
