"""Put the tables of all items together, a piece at a time, in the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_biofm.batch.jobs import ITEMS, TABLES
from napari_biofm.files import atomic_write
from napari_biofm.types import BatchError


def collect_tables(out: Path, keys: Sequence[str]) -> dict[str, int]:
    """Write `cells.parquet`, `events.parquet` and the like from the pieces of the items.

    Parameters
    ----------
    out : folder of the run.
    keys : of the items that are done, in order; rows come in that order.

    Returns
    -------
    Number of rows by table; a table that no item has is not written (a former one is removed).
    """
    return {name: n for name in TABLES if (n := _collect(out, name, keys)) is not None}


def _collect(out: Path, name: str, keys: Sequence[str]) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = out / f"{name}.parquet"
    pieces = [p for key in keys if (p := out / ITEMS / key / f"{name}.parquet").is_file()]
    if not pieces:
        target.unlink(missing_ok=True)
        return None
    try:
        schema = _schema(pieces)
        rows = 0
        with atomic_write(target) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for piece in pieces:
                table = pq.read_table(piece)
                rows += table.num_rows
                columns = [
                    table[field.name].cast(field.type)
                    if field.name in table.column_names
                    else pa.nulls(table.num_rows, field.type)
                    for field in schema
                ]
                writer.write_table(pa.table(columns, schema=schema))
    except pa.ArrowException as error:
        raise BatchError(f"{target}: the tables of the items do not fit together: {error}") from error
    return rows


def _schema(pieces: Sequence[Path]) -> Any:
    """Return columns of all pieces, numbers as wide as the widest; empty pieces decide no type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    known: dict[str, pa.DataType] = {}
    for piece in pieces:
        file = pq.ParquetFile(piece)
        empty = file.metadata.num_rows == 0
        for field in file.schema_arrow:
            kind = pa.null() if empty else field.type
            former = known.get(field.name, pa.null())
            known[field.name] = kind if pa.types.is_null(former) else _wider(former, kind)
    return pa.schema(
        [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in known.items()]
    )


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    merged = pa.unify_schemas(
        [pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive"
    )
    return merged.field("x").type
