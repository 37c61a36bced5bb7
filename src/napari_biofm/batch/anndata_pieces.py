"""A table of cells as an AnnData zarr folder, written a piece at a time."""

from __future__ import annotations

import shutil
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

PIECE = 50_000  # cells


def write_anndata(source: Path, target: Path, piece: int = PIECE) -> None:
    """Write `cells.parquet` as an AnnData zarr folder that is whole or absent.

    `X` holds the vectors (no columns where there are none), `obs` all other columns.

    Parameters
    ----------
    source : the Parquet file.
    target : the folder; a former one is replaced.
    piece : cells that are in memory at a time.
    """
    import pyarrow.parquet as pq

    making = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr tells of its next version, once a piece
            _write(pq.ParquetFile(source), making, piece)
        shutil.rmtree(target, ignore_errors=True)
        making.replace(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _write(file: Any, folder: Path, piece: int) -> None:
    import anndata
    import zarr
    from anndata.io import write_elem

    root = zarr.open_group(str(folder), mode="w")
    kinds, width, rows = _kinds(file), _width(file), 0
    for batch in file.iter_batches(batch_size=piece):
        obs, vectors = _parts(batch.to_pandas(), rows, kinds, width)
        if not rows:
            write_elem(root, "/", anndata.AnnData(X=vectors, obs=obs))
        else:
            _append(root["X"], vectors)
            for name in [*map(str, obs.columns), "_index"]:
                values = obs.index.to_numpy(object) if name == "_index" else obs[name].to_numpy()
                _append(root["obs"][name], values)
        rows += len(obs)
    if not rows:
        write_elem(root, "/", anndata.AnnData(X=np.zeros((0, width), np.float32)))
    zarr.consolidate_metadata(root.store)


def _width(file: Any) -> int:
    """Return how many numbers a vector has, 0 where there are none."""
    if "vector" not in file.schema_arrow.names:
        return 0
    for batch in file.iter_batches(columns=["vector"], batch_size=1000):
        for vector in batch.column(0):
            if vector.is_valid:
                return len(vector)
    return 0


def _kinds(file: Any) -> dict[str, str]:
    """Return for each column what it is written as, alike in all pieces: "text", "number" or as it is ("").

    Whole numbers and truth values of which some are missing become numbers, NaN where nothing is known.
    """
    import pyarrow as pa

    missing: dict[str, bool] = {}
    for group in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(group)
        for i in range(about.num_columns):
            column = about.column(i)
            known = column.statistics is not None and column.statistics.has_null_count
            name = column.path_in_schema
            missing[name] = missing.get(name, False) or not known or column.statistics.null_count > 0
    kinds = {}
    for field in file.schema_arrow:
        whole = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
        if pa.types.is_floating(field.type) or whole:
            kinds[field.name] = "number" if whole and missing.get(field.name, True) else ""
        else:
            kinds[field.name] = "text"
    return kinds


def _parts(table: DataFrame, first: int, kinds: dict[str, str], width: int) -> tuple[DataFrame, Any]:
    """Return the columns, text as text, and the vectors (n, d)."""
    import pandas as pd

    n = len(table)
    vectors = np.full((n, width), np.nan, np.float32)
    if "vector" in table:
        for row, vector in enumerate(table.pop("vector")):
            if vector is not None:
                vectors[row] = vector
    columns: dict[str, Any] = {}
    for name in map(str, table.columns):
        values = table[name]
        if kinds[name] == "text":
            columns[name] = np.array(["" if v is None or v is pd.NA else str(v) for v in values], object)
        else:
            columns[name] = values.to_numpy(np.float64) if kinds[name] == "number" else values.to_numpy()
    return pd.DataFrame(columns, index=[str(i) for i in range(first, first + n)]).astype(
        {name: object for name in columns if kinds[name] == "text"}
    ), vectors


def _append(array: Any, values: Any) -> None:
    before = array.shape[0]
    array.resize((before + len(values), *array.shape[1:]))
    array[before:] = values
