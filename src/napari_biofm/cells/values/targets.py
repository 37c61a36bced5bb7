"""Continuous targets read from files: values of cells, or of whole wells, by CSV or AnnData."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.export import read_anndata
from napari_biofm.files import opened_csv
from napari_biofm.types import CellsError

IDS = ("object_id", "cell_id")
NOT_TARGETS = {*IDS, "group", "image", "object", "label", "layer"}


@dataclass(frozen=True)
class Targets:
    """Measured values.

    Attributes
    ----------
    ids : one per row: ids of cells, or of groups where `of_groups`. names : of the targets.
    values : (n, t) float64, NaN where nothing was measured. groups : one per row, "" where none is told.
    of_groups : a row is the value of all cells of a group (image, well, plate).
    source : the file.
    """

    ids: list[str]
    names: list[str]
    values: NDArray[np.float64]
    groups: list[str]
    of_groups: bool
    source: Path

    def for_cells(
        self, cells: Sequence[str], groups: Sequence[str], also: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """Return the values of cells, (n_cells, t), NaN where a cell was not measured.

        Parameters
        ----------
        cells : ids. groups : group of each cell. also : other names of the cells, e.g. their labels.

        Raises
        ------
        CellsError
            If a row of the file belongs to no cell; the message names the first.
        """
        rows: dict[str, list[int]] = {}
        for names in (groups,) if self.of_groups else (cells, also or ()):
            for i, name in enumerate(names):
                rows.setdefault(str(name), []).append(i)
        unknown = [name for name in self.ids if name not in rows]
        if unknown:
            kind = "group" if self.of_groups else "cell"
            known = ", ".join(list(rows)[:3]) or "none"
            raise CellsError(
                f"{self.source}: {len(unknown)} of {len(self.ids)} rows belong to no {kind}, the first is "
                f"'{unknown[0]}' (there are: {known}, ...). Correct the ids, or choose the cells they belong to."
            )
        found = np.full((len(cells), len(self.names)), np.nan)
        for row, name in enumerate(self.ids):
            found[rows[name]] = self.values[row]
        return found


def read_targets(path: Path, names: Sequence[str] | None = None) -> Targets:
    """Read continuous targets.

    Parameters
    ----------
    path : a CSV with `object_id` (or `cell_id`, or `image` and `object`), any columns of numbers, and
        perhaps `group`; or with `group` alone, for values of whole wells. Or an AnnData `.h5ad`: a row per
        cell (`obs_names`, or one of these columns of obs), a column of X per target, e.g. a gene.
    names : the targets to keep; all columns of numbers when not given.

    Raises
    ------
    CellsError
        If the file cannot be read, has no such column, repeats an id, or holds something that is no number.
    """
    if not path.is_file():
        raise CellsError(f"{path} does not exist.")
    found = _read_h5ad(path) if path.suffix == ".h5ad" else _read_csv(path, names)
    repeated = _first_repeated(found.ids)
    if repeated is not None:
        raise CellsError(f"{path}: '{repeated}' occurs twice; keep one row for each.")
    if names is None:
        return found
    unknown = [name for name in names if name not in found.names]
    if unknown:
        raise CellsError(f"{path} has no target '{unknown[0]}'; it has: {', '.join(found.names[:20])}.")
    kept = [found.names.index(name) for name in names]
    return Targets(found.ids, list(names), found.values[:, kept], found.groups, found.of_groups, path)


def _read_csv(path: Path, names: Sequence[str] | None) -> Targets:
    with opened_csv(path, CellsError) as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    id_column = next((name for name in IDS if name in columns), None)
    if id_column is not None:
        ids = [(row[id_column] or "").strip() for row in rows]
    elif {"image", "object"} <= set(columns):
        ids = [f"{row['image']}:{row['object']}" for row in rows]
    elif "group" in columns:
        ids = [(row["group"] or "").strip() for row in rows]
    else:
        raise CellsError(
            f"{path} needs a column object_id (or cell_id, or image and object, or group for values of whole "
            f"wells) beside the targets; it has: {columns}."
        )
    targets = [c for c in columns if c not in NOT_TARGETS and (names is None or c in names)]
    if not targets or not rows:
        raise CellsError(f"{path} holds no {'row' if targets else 'column of numbers'} to learn from.")
    values = np.full((len(rows), len(targets)), np.nan)
    for i, row in enumerate(rows):
        for j, name in enumerate(targets):
            values[i, j] = _number(row[name], path, name, i + 2)
    groups = [(row.get("group") or "").strip() for row in rows]
    of_groups = id_column is None and not {"image", "object"} <= set(columns)
    return Targets(ids, targets, values, groups, of_groups, path)


def _number(word: str | None, path: Path, column: str, line: int) -> float:
    word = (word or "").strip()
    if word.lower() in ("", "na", "nan", "none"):
        return np.nan
    try:
        value = float(word)
    except ValueError as error:
        raise CellsError(
            f"{path}, line {line}: '{word}' in column '{column}' is no number. Leave the cell empty where "
            "nothing was measured, or name the columns to learn from."
        ) from error
    if not np.isfinite(value):
        raise CellsError(f"{path}, line {line}: '{word}' in column '{column}' is not finite.")
    return value


def _read_h5ad(path: Path) -> Targets:
    table = read_anndata(path)
    if table.X is None or not table.n_vars or not table.n_obs:
        raise CellsError(f"{path} has no matrix X of cells x targets.")
    dense = table.X.toarray() if hasattr(table.X, "toarray") else np.asarray(table.X)
    column = next((name for name in IDS if name in table.obs), None)
    ids = [str(v) for v in (table.obs_names if column is None else table.obs[column])]
    groups = [str(v) for v in table.obs["group"]] if "group" in table.obs else [""] * len(ids)
    return Targets(ids, [str(n) for n in table.var_names], dense.astype(np.float64), groups, False, path)


def _first_repeated(ids: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            return name
        seen.add(name)
    return None
