"""Put the tables of all items together, a piece at a time, in the order of the items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_biofm.batch.items import Item, kept_small
from napari_biofm.batch.jobs import CONDITIONS, ITEMS, PIECE, TABLES
from napari_biofm.batch.lazy import LazySequence
from napari_biofm.files import atomic_write
from napari_biofm.images.io.names import image_id
from napari_biofm.types import BatchError

GROUP = 20_000  # rows written at a time
OF_ITEMS = (
    "item",
    "file",
    "path",
    "masks",
    "kind",
    "state",
    "objects",
    "events",
    "corrected",
)  # columns of conditions
FRONT = 2  # columns of a piece before what is known of its sample: item and file


def collect_tables(out: Path, items: LazySequence[Item]) -> dict[str, int]:
    """Write `cells.parquet`, `events.parquet` and the like from the pieces of the items.

    What the plate map or the table of files says of an item stands in each of its rows, as it is said now: another plate
    map needs no item to be done again.

    Parameters
    ----------
    out : folder of the run.
    items : those that are done, in order; rows come in that order.

    Returns
    -------
    Number of rows by table; a table that no item has is not written (a former one is removed).
    """
    said = _said(items)
    return {name: n for name in TABLES if (n := _collect(out, name, items, said)) is not None}


def write_conditions(out: Path, items: Sequence[Item], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `conditions.parquet`: a row per file with its state, its counts, and what is known of its sample.

    Parameters
    ----------
    out : folder of the run.
    items : all of them.
    rows : of the manifest, one for each.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = _said(items)
    known = {name: pa.string() for name in ("item", "file", "path", "masks", "kind", "state")}
    known |= {"objects": pa.int64(), "events": pa.int64(), "corrected": pa.string()}
    names = {name: name if name not in known else f"sample_{name}" for name in said}
    schema = pa.schema([*known.items(), *((names[name], kind) for name, kind in said.items())])

    def line(item: Item, row: Mapping[str, Any]) -> dict[str, Any]:
        values = {**{name: row.get(name) for name in known}, "item": item.key, "path": str(item.path)}
        values |= {"file": image_id(item.path), "masks": str(item.masks) if item.masks else None}
        for name, kind in said.items():
            value = item.columns.get(name)
            values[names[name]] = str(value) if value is not None and pa.types.is_string(kind) else value
        return values

    lines = map(line, items, rows)
    with atomic_write(out / CONDITIONS) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while part := list(islice(lines, GROUP)):
            writer.write_table(pa.Table.from_pylist(part, schema))


def items_of_run(out: Path) -> LazySequence[Item]:
    """Return the items of a run as its `conditions.parquet` names them, without a look at their files.

    Parameters
    ----------
    out : folder of the run.

    Raises
    ------
    BatchError
        If the folder holds no finished run.
    """
    import pyarrow.parquet as pq

    if not (out / CONDITIONS).is_file():
        raise BatchError(f"{out}: holds no finished run; finish it with napari-biofm run ... --resume.")
    with pq.ParquetFile(out / CONDITIONS) as file:
        return kept_small(_item(row) for part in file.iter_batches() for row in part.to_pylist())


def _item(row: Mapping[str, Any]) -> Item:
    known = {k: v for k, v in row.items() if k not in OF_ITEMS and v is not None}
    columns = {
        k.removeprefix("sample_") if k.removeprefix("sample_") in OF_ITEMS else k: v for k, v in known.items()
    }
    masks = Path(row["masks"]) if row.get("masks") else None
    return Item(row["item"], Path(row["path"]), row["kind"], masks, columns)


def read_piece(path: Path) -> Any:
    """Return the table of an item, as an Arrow table.

    Parameters
    ----------
    path : of the file that a step wrote.
    """
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def _said(items: Sequence[Item]) -> dict[str, Any]:
    """Return the columns that are known of samples: a number where all values are numbers, else text."""
    import pyarrow as pa

    kinds: dict[str, Any] = {}
    for item in items:
        for name, value in item.columns.items():
            kind = pa.float64() if isinstance(value, float) else pa.string()
            kinds[name] = kind if kinds.get(name, kind) == kind else pa.string()
    return kinds


def _collect(out: Path, name: str, items: LazySequence[Item], said: dict[str, Any]) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def piece(item: Item) -> Path:
        return out / ITEMS / item.key / f"{name}{PIECE}"

    target = out / f"{name}.parquet"
    items = items.chosen(piece(item).is_file() for item in items)
    if not items:
        target.unlink(missing_ok=True)
        return None
    try:
        schema = _schema(map(piece, items))
        front = [
            pa.field(one if one not in schema.names else f"sample_{one}", kind) for one, kind in said.items()
        ]
        rows, waiting = 0, _Waiting()
        whole = pa.schema([*list(schema)[:FRONT], *front, *list(schema)[FRONT:]])
        with atomic_write(target) as temporary, pq.ParquetWriter(temporary, whole) as writer:
            for item in items:
                table = read_piece(piece(item))
                rows += table.num_rows
                columns = [_column(table, field) for field in schema]
                known = [_constant(item.columns.get(one), kind, table.num_rows) for one, kind in said.items()]
                waiting.add(pa.table([*columns[:FRONT], *known, *columns[FRONT:]], schema=whole), writer)
            waiting.write(writer)
    except pa.ArrowException as error:
        raise BatchError(f"{target}: the tables of the items do not fit together: {error}") from error
    return rows


def _column(table: Any, field: Any) -> Any:
    import pyarrow as pa

    if field.name in table.column_names:
        return table[field.name].cast(field.type)
    return pa.nulls(table.num_rows, field.type)


def _constant(value: str | float | None, kind: Any, n: int) -> Any:
    import pyarrow as pa

    if value is None:
        return pa.nulls(n, kind)
    return pa.repeat(pa.scalar(str(value) if pa.types.is_string(kind) else value, kind), n)


class _Waiting:
    """Rows that wait until a group of them is worth writing: one group per item would cost more than its rows."""

    def __init__(self) -> None:
        self._tables: list[Any] = []
        self._rows = 0

    def add(self, table: Any, writer: Any) -> None:
        """Add rows, and write all that wait if they are many."""
        self._tables.append(table)
        self._rows += table.num_rows
        if self._rows >= GROUP or len(self._tables) >= GROUP:
            self.write(writer)

    def write(self, writer: Any) -> None:
        """Write all that wait."""
        import pyarrow as pa

        if self._tables:
            writer.write_table(pa.concat_tables(self._tables))
        self._tables, self._rows = [], 0


def _schema(pieces: Iterable[Path]) -> Any:
    """Return columns of all pieces, numbers as wide as the widest; empty pieces decide no type."""
    import pyarrow as pa

    known: dict[str, pa.DataType] = {}
    for piece in pieces:
        table = read_piece(piece)
        empty = table.num_rows == 0
        for field in table.schema:
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
