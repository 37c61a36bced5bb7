"""One table of cells: an AnnData with a row per cell and its vectors in named embeddings.

Rows are keyed by `cell_id` ("layer:label") and stand in ascending order of label. `X` is the embedding in use;
every embedding lies in `obsm` under its name ("regionprops" always), and `uns["blocks"]` says where it
came from. After an edit of masks only the rows of the cells it touched are made again, see `update`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.measure import measure
from napari_biofm.types import CellsError, Image, Labels, Vectors

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

BASELINE = "regionprops"
UNKNOWN = "unknown"
Groups = str | Sequence[Any] | Mapping[int, Any]
Embeddings = Vectors | Mapping[str, Vectors]


def make_table(
    labels: Labels,
    *,
    image: Image | None = None,
    vectors: Embeddings | None = None,
    vector_source: str = BASELINE,
    layer: str = "",
    provenance: Mapping[str, Any] | None = None,
    groups: Groups | None = None,
) -> AnnData:
    """Make the table of the cells of one label image.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int; 0 is background.
    image : the same shape, channels last if any; measured for intensity and texture.
    vectors : (n_cells, d) rows in ascending order of label, or such arrays by embedding name; the measured
        "regionprops" embedding is always added.
    vector_source : name of the embedding that becomes `X`; the name of `vectors` where that is one array.
    layer : unique id of the Labels layer.
    provenance : where the vectors come from: e.g. `name`, `weights_sha256`, parameters.
    groups : image, plate or well of the cells: one for all, one per row, or by label value. Scores
        leave whole groups out.

    Returns
    -------
    AnnData with obs `cell_id`, `layer`, `label`, `group`, `centroid-0`.. (pixels), `area` (pixels),
    `mean_intensity`, `class_by_hand` ("" = none), `predicted` ("" = none), `probability`, `outlier`.

    Raises
    ------
    CellsError
        If vectors and labels disagree in number, or image and labels in shape.
    """
    values, measures, names = measure(image, labels)
    embeddings = named(vectors, vector_source)
    for name, embedding in embeddings.items():
        check_rows(name, embedding, len(values))
    obs = observations(labels, values, measures, names, layer)
    obs["group"] = _groups(groups, values)
    embeddings = {BASELINE: measures.astype(np.float32), **embeddings}
    source = {name: _plain(provenance) for name in embeddings if name != BASELINE}
    return assemble(
        obs,
        embeddings,
        vector_source,
        {**source, BASELINE: {"name": BASELINE, "recipe": "masks", "columns": names}},
    )


def add_embedding(
    table: AnnData, name: str, vectors: Vectors, provenance: Mapping[str, Any] | None = None
) -> AnnData:
    """Add (or replace) an embedding of vectors, e.g. of the traces of the same cells, and return the table."""
    check_rows(name, vectors, table.n_obs)
    table.obsm[name] = np.ascontiguousarray(vectors, np.float32)
    table.uns["blocks"] = {**table.uns["blocks"], name: _plain(provenance)}
    return table


def vectors_of(table: AnnData, embeddings: str | Sequence[str] | None = None) -> Vectors:
    """Return the vectors of one embedding, or of several side by side; None takes the embedding in use.

    What a cell lacks in part (intervals of a trace with two events) is filled with the median of the others;
    a cell that an embedding knows nothing of (no trace, a mask edited since) has NaN.

    Raises
    ------
    CellsError
        If there is no embedding of that name.
    """
    chosen = (
        [str(table.uns["vectors"])]
        if embeddings is None
        else [embeddings]
        if isinstance(embeddings, str)
        else list(embeddings)
    )
    for name in chosen:
        if name not in table.obsm:
            raise CellsError(f"This table has no vectors '{name}'; it has: {', '.join(table.obsm)}.")
    filled = [_filled(np.asarray(table.obsm[name], np.float32)) for name in chosen]
    return filled[0] if len(filled) == 1 else np.concatenate(filled, 1)


def _filled(embedding: Vectors) -> Vectors:
    """Put the median of the column where a row lacks only some values; rows without any stay NaN."""
    known = np.isfinite(embedding)
    partly = known.any(1) & ~known.all(1)
    if not partly.any():
        return embedding
    out, columns = embedding.copy(), np.flatnonzero(~known[partly].all(0))
    for column in columns:
        there = known[:, column]
        out[partly & ~there, column] = np.median(embedding[there, column]) if there.any() else 0.0
    return out


def part_widths(table: AnnData, embeddings: Sequence[str]) -> list[int]:
    """Return the widths of the parts that embeddings side by side are made of, for heads that know parts."""
    widths: list[int] = []
    for name in embeddings:
        told = [int(width) for width in table.uns["blocks"][name].get("parts", [])]
        width = int(table.obsm[name].shape[1])
        widths += told if sum(told) == width else [width]
    return widths


def text(table: AnnData, column: str) -> NDArray[np.object_]:
    """Return a column of obs as plain strings, "" where nothing is said (also after reading a file)."""
    import pandas as pd

    values = np.array(table.obs[column], object)
    values[pd.isna(values)] = ""
    return values


# ------------------------------------------------------------------ parts, also of `update`


def named(vectors: Embeddings | None, source: str) -> dict[str, Vectors]:
    """Return embeddings by name; a single array has the name `source`."""
    if vectors is None:
        return {}
    if isinstance(vectors, Mapping):
        return {name: np.ascontiguousarray(embedding, np.float32) for name, embedding in vectors.items()}
    return {source: np.ascontiguousarray(vectors, np.float32)}


def check_rows(name: str, embedding: Vectors, n: int, width: int | None = None) -> None:
    """Raise CellsError where an embedding has other than `n` rows, or other than `width` columns."""
    if embedding.ndim != 2 or len(embedding) != n:
        raise CellsError(
            f"The vectors '{name}' have shape {embedding.shape} for {n} cells; one row per cell is needed. "
            "Compute them from the masks as they are now."
        )
    if width is not None and embedding.shape[1] != width:
        raise CellsError(f"The vectors '{name}' have {embedding.shape[1]} columns, the table has {width}.")


def observations(
    labels: Labels,
    values: NDArray[np.int64],
    measures: NDArray[np.float64],
    names: list[str],
    layer: str,
    origin: tuple[int, ...] | None = None,
) -> DataFrame:
    """Return obs of cells that were measured (see `make_table`); `origin` is where `labels` were cut out."""
    import pandas as pd
    from scipy import ndimage

    n = len(values)
    centres = (
        np.asarray(ndimage.center_of_mass(labels > 0, labels, values)) if n else np.zeros((0, labels.ndim))
    )
    if origin is not None and n:
        centres = centres + np.asarray(origin)
    ids = np.asarray([f"{layer}:{value}" for value in values], object)
    columns: dict[str, Any] = {
        "cell_id": ids,
        "layer": np.full(n, layer, object),
        "label": values,
        "group": "",
    }
    columns |= {f"centroid-{i}": centres[:, i] for i in range(labels.ndim)}
    columns["area"] = measures[:, names.index("area")]
    means = [i for i, name in enumerate(names) if name.endswith("intensity_mean")]
    columns["mean_intensity"] = measures[:, means].mean(1) if means else np.full(n, np.nan)
    columns |= {"class_by_hand": np.full(n, "", object), "predicted": np.full(n, "", object)}
    columns |= {"probability": np.full(n, np.nan), "outlier": np.full(n, np.nan)}
    return pd.DataFrame(columns, index=pd.Index(ids.astype(str)))


def _groups(groups: Groups | None, values: NDArray[np.int64]) -> NDArray[np.object_]:
    if groups is None or isinstance(groups, str):
        return np.full(len(values), groups or "", object)
    if isinstance(groups, Mapping):
        return np.asarray([str(groups.get(int(value), "")) for value in values], object)
    if len(groups) != len(values):
        raise CellsError(f"{len(groups)} groups were given for {len(values)} cells; give one per cell.")
    return np.asarray([str(group) for group in groups], object)


def assemble(
    obs: DataFrame, embeddings: Mapping[str, Vectors], source: str, provenance: dict[str, Any]
) -> AnnData:
    """Return a table of these rows; `source` names the embedding that becomes `X`."""
    from anndata import AnnData

    if source not in embeddings:
        raise CellsError(f"There are no vectors '{source}'; there are: {', '.join(embeddings)}.")
    table = AnnData(X=embeddings[source], obs=obs)
    for name, embedding in embeddings.items():
        table.obsm[name] = embedding
    layer = str(obs["layer"].iloc[0]) if len(obs) else ""
    table.uns.update({"vectors": source, "blocks": provenance, "layer": layer})
    table.uns["encoder"] = dict(provenance[source])
    return table


def _plain(provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keep what a file can hold: None becomes "", tuples become lists."""
    plain: dict[str, Any] = {}
    for key, value in (provenance or {}).items():
        if isinstance(value, Mapping):
            plain[str(key)] = _plain(value)
        else:
            plain[str(key)] = "" if value is None else list(value) if isinstance(value, tuple) else value
    return plain
