"""Vectors that were computed elsewhere, joined to rows of cells, wells, samples or subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.sheets import read_sheet
from napari_biofm.conditions.wells import plain_well
from napari_biofm.files import load_numpy
from napari_biofm.hdf5_files import check_texts
from napari_biofm.types import ConditionsError, Vectors

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_WIDTH = 65_536  # numbers per vector
MAX_BYTES = 2 << 30
ENDINGS = (".csv", ".tsv", ".parquet", ".npy", ".h5ad")


@dataclass(frozen=True, eq=False)
class OutsideVectors:
    """Vectors with the names of what they describe.

    Attributes
    ----------
    ids : (n,) names, each once.
    values : (n, d) float32; NaN where a number is missing.
    columns : names of the d numbers.
    source : name of the file.
    """

    ids: tuple[str, ...]
    values: Vectors
    columns: tuple[str, ...]
    source: str = ""


def read_vectors(path: Path, ids: Path | None = None, key: str = "") -> OutsideVectors:
    """Read vectors from CSV, TSV, Parquet, AnnData, or `.npy` beside a text file of ids.

    Parameters
    ----------
    path : the file; in CSV, TSV and Parquet one column names the rows and all others that hold only numbers are taken.
    ids : for `.npy`: a text file, one id a line, as many as the array has rows.
    key : for tables the column of the ids (the first if not given); for AnnData the key in `obsm` (`X` if not given).

    Raises
    ------
    ConditionsError
        If the file is of another kind, is damaged, holds objects, names a row twice, or ids and rows differ in number.
    """
    if not path.is_file():
        raise ConditionsError(f"{path} does not exist.")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConditionsError(f"{path.name}: vectors are read from {', '.join(ENDINGS)}.")
    if path.stat().st_size > MAX_BYTES:
        raise ConditionsError(f"{path.name} is larger than {MAX_BYTES >> 30} GB; give fewer rows or numbers.")
    if ids is not None and ending != ".npy":
        raise ConditionsError(f"A file of ids goes with .npy; {path.name} names its rows itself.")
    if ending == ".npy":
        return _numpy(path, ids)
    if ending == ".h5ad":
        return _anndata(path, key)
    return _table(path, key, ending)


def _numpy(path: Path, ids: Path | None) -> OutsideVectors:
    if ids is None:
        raise ConditionsError(f"{path.name} names no rows: give a text file with one id a line beside it.")
    try:
        values = load_numpy(path)
        names = [line.strip() for line in ids.read_text(encoding="utf-8-sig").splitlines()]
    except (ValueError, OSError) as error:
        raise ConditionsError(f"{path.name} with {ids.name}: {error}.") from error
    while names and not names[-1]:
        names.pop()
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise ConditionsError(
            f"{path.name} has shape {values.shape} of {values.dtype}; (rows, numbers) is needed."
        )
    if len(names) != len(values):
        raise ConditionsError(f"{ids.name} has {len(names)} ids, {path.name} {len(values)} rows.")
    return checked(names, values, [f"v{i}" for i in range(values.shape[1])], path.name)


def _anndata(path: Path, key: str) -> OutsideVectors:
    import anndata

    try:
        check_texts(path)
        table = anndata.read_h5ad(path)
        if key and key not in table.obsm:
            raise ConditionsError(
                f"{path.name} has no obsm {key!r}; it has {', '.join(table.obsm) or 'none'}."
            )
        held = table.obsm[key] if key else table.X
        columns = [str(c) for c in table.var_names] if not key else []
        names = [str(name) for name in table.obs_names]
        values = np.asarray(held.todense() if "sparse" in type(held).__module__ else held, np.float32)
    except ConditionsError:
        raise
    except Exception as error:  # h5py and anndata raise many kinds
        raise ConditionsError(
            f"{path.name} cannot be read as AnnData ({type(error).__name__}: {error})."
        ) from error
    if values.ndim != 2:
        raise ConditionsError(f"{path.name} holds no vectors in {key or 'X'}.")
    return checked(names, values, columns or [f"v{i}" for i in range(values.shape[1])], path.name)


def _table(path: Path, key: str, ending: str) -> OutsideVectors:
    import pandas as pd

    if ending == ".parquet":
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pandas()
        except Exception as error:  # pyarrow raises errors of its own kinds
            raise ConditionsError(f"{path.name} cannot be read as Parquet ({error}).") from error
        if rows.index.name and rows.index.name not in rows:
            rows = rows.reset_index()
    else:
        sheet = read_sheet(path, "table of vectors", largest=MAX_BYTES, comments=False)
        rows = pd.DataFrame(list(sheet.rows), columns=list(sheet.header))
    rows.columns = [str(c).strip() for c in rows.columns]
    if not len(rows.columns):
        raise ConditionsError(f"{path.name} has no columns.")
    name = key or rows.columns[0]
    if name not in rows.columns:
        raise ConditionsError(f"{path.name} has no column {name!r}; it has {', '.join(rows.columns[:12])}.")
    found = {c: pd.to_numeric(_blank(rows[c]), errors="coerce") for c in rows.columns if c != name}
    numbers = {c: v for c, v in found.items() if not (v.isna() & (_blank(rows[c]).notna())).any()}
    if not numbers:
        raise ConditionsError(f"{path.name}: no column beside {name!r} holds only numbers.")
    values = np.stack([v.to_numpy(np.float64) for v in numbers.values()], 1)
    return checked([str(i).strip() for i in rows[name]], values, list(numbers), path.name)


def _blank(column: DataFrame) -> DataFrame:
    if column.dtype.kind in "biuf":
        return column
    text = column.map(lambda cell: None if cell is None else str(cell).strip())
    return text.where(~text.isin(["", "nan", "NaN", "NA"]), None)


def checked(
    ids: Sequence[str], values: NDArray[np.generic], columns: Sequence[str], source: str
) -> OutsideVectors:
    """Return vectors whose ids stand once each and whose width is bearable.

    Parameters
    ----------
    ids : (n,) names.
    values : (n, d) numbers.
    columns : (d,) names of the numbers.
    source : name of the file, for messages.

    Raises
    ------
    ConditionsError
        If an id is empty or stands twice, or vectors are too wide or have no numbers.
    """
    seen: dict[str, int] = {}
    for row, name in enumerate(ids, 1):
        if not name:
            raise ConditionsError(f"{source}, row {row}: there is no id.")
        if name in seen:
            raise ConditionsError(f"{source}: id {name!r} stands in rows {seen[name]} and {row}; keep one.")
        seen[name] = row
    if not 1 <= values.shape[1] <= MAX_WIDTH:
        raise ConditionsError(f"{source}: {values.shape[1]} numbers a row; 1 to {MAX_WIDTH} can be used.")
    with np.errstate(over="ignore"):
        plain = np.asarray(values, np.float32)
    plain = np.where(np.isfinite(plain), plain, np.float32(np.nan))
    return OutsideVectors(tuple(ids), plain, tuple(columns), source)


def joined_vectors(vectors: OutsideVectors, keys: Sequence[object]) -> tuple[Vectors, list[str]]:
    """Return one vector per row of a table, NaN where there is none, and sentences on what did not match.

    Parameters
    ----------
    vectors : from `read_vectors`.
    keys : (n,) cell, well, sample or subject of each row; several rows may have the same. Wells match in any spelling.

    Raises
    ------
    ConditionsError
        If not one key has a vector.
    """
    names = [_plain(key) for key in keys]
    at = {name: i for i, name in enumerate(vectors.ids)}
    if not any(name in at for name in names):
        wells = [_well(name) for name in vectors.ids]
        if all(wells) and len(set(wells)) == len(wells):
            at = {name: i for i, name in enumerate(wells)}
            names = [_well(name) or name for name in names]
    rows = np.array([at.get(name, -1) for name in names], np.int64)
    if not (rows >= 0).any():
        raise ConditionsError(
            f"No row fits {vectors.source}: rows are named {', '.join(names[:3]) or '(none)'}, "
            f"vectors {', '.join(vectors.ids[:3])}."
        )
    out = np.where(rows[:, None] >= 0, vectors.values[rows], np.float32(np.nan))
    notes = []
    lost = sorted({name for name, row in zip(names, rows, strict=True) if row < 0})
    if lost:
        notes.append(
            f"{int((rows < 0).sum())} rows have no vector: {', '.join(lost[:6])}{' ...' * (len(lost) > 6)}"
        )
    idle = sorted(set(range(len(vectors.ids))) - set(rows.tolist()))
    if idle:
        shown = ", ".join(vectors.ids[i] for i in idle[:6])
        notes.append(f"{len(idle)} vectors belong to no row: {shown}{' ...' * (len(idle) > 6)}")
    return np.ascontiguousarray(out, np.float32), notes


def _plain(key: object) -> str:
    if isinstance(key, float | np.floating) and float(key).is_integer():
        return str(int(key))
    return str(key).strip()


def _well(text: str) -> str:
    try:
        return plain_well(text)
    except ConditionsError:
        return ""
