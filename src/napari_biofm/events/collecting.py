"""Tables of many recordings as one: a row per event, sweep, file or group, with groups from the names of the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.types import Events, RecordingError

Columns = dict[str, NDArray[Any]]
RowsPer = Literal["event", "sweep", "file", "group"]
_PLACES = (
    "row",
    "sweep",
    "channel",
    "class",
    "time_s",
    "score",
    "unit",
    "direction",
    "baseline_from",
    "reason",
)
_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|\*")


def name_pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of names such as "{genotype}_{cell}_*": each field is text up to what follows it.

    Raises
    ------
    RecordingError
        If there is no field, or one twice.
    """
    fields = [one for one in _FIELD.findall(template) if one]
    if not fields or len(set(fields)) < len(fields):
        raise RecordingError(
            f"the pattern {template!r} of file names: name each field once, as {{group}}_{{cell}}"
        )
    parts, last = [], 0
    for found in _FIELD.finditer(template):
        parts.append(re.escape(template[last : found.start()]))
        after = template[found.end() : found.end() + 1]
        text = f"[^{re.escape(after)}]+" if after and after not in "{*" else ".+"
        parts.append(f"(?P<{found.group(1)}>{text})" if found.group(1) else ".*")
        last = found.end()
    return re.compile("".join([*parts, re.escape(template[last:])]) + r"\Z")


def groups_of(pattern: re.Pattern[str] | None, path: Path) -> dict[str, str]:
    """Return what the name of a file says, by field; the ending is no part of the name.

    Raises
    ------
    RecordingError
        If the name is not of the pattern.
    """
    if pattern is None:
        return {}
    found = pattern.match(path.stem)
    if found is None:
        raise RecordingError(
            f"{path.name}: the name is not of the pattern that was given; rename it or leave it out"
        )
    return {name: str(text) for name, text in found.groupdict().items()}


def columns_of(events: Events) -> Columns:
    """Return a table of events by column, without artefacts and rejected rows."""
    kept = events[~np.isin(events["class"], NOT_EVENTS)]
    return {name: kept[name] for name in kept.dtype.names or ()}


def joined(parts: Iterable[tuple[str, Mapping[str, str], Mapping[str, NDArray[Any]]]]) -> Columns:
    """Return the rows of all files as one table; what a file does not have is NaN or "".

    Parameters
    ----------
    parts : name of the file, its groups, its columns (of equal length).
    """
    files = [(name, groups, columns) for name, groups, columns in parts]
    names = list(dict.fromkeys(c for _, _, columns in files for c in columns))
    fields = list(dict.fromkeys(g for _, groups, _ in files for g in groups))
    counts = [len(next(iter(columns.values()), [])) for _, _, columns in files]
    table: Columns = {"file": np.repeat([name for name, _, _ in files], counts).astype(str)}
    for field in fields:
        table[field] = np.repeat([groups.get(field, "") for _, groups, _ in files], counts).astype(str)
    for name in names:
        present = [columns[name] for _, _, columns in files if name in columns]
        words = any(one.dtype.kind == "U" for one in present)
        whole = all(one.dtype.kind in "iu" for one in present) and len(present) == len(files)
        blanks = [
            columns[name] if name in columns else np.full(n, "" if words else np.nan)
            for n, (_, _, columns) in zip(counts, files, strict=True)
        ]
        dtype: Any = str if words else np.int64 if whole else np.float64
        table[name] = (
            np.concatenate([np.asarray(one, dtype) for one in blanks]) if blanks else np.zeros(0, dtype)
        )
    return table


def summed(table: Columns, rows: RowsPer, fields: Sequence[str]) -> Columns:
    """Return a table with fewer rows: per file (a cell) the mean of its events or sweeps, per group that of its files.

    Each file counts once in its group, however many events it has. Columns are means over what is a number; `n` says
    how many rows were averaged, columns `..._sd` their standard deviation.

    Parameters
    ----------
    table : of `joined`. rows : "event" and "sweep" select rows of features, "file" and "group" average.
    fields : groups in the names of the files; all files are one group where there is none.
    """
    if "row" in table and rows in ("event", "sweep"):
        keep = table["row"] == rows
        return {name: column[keep] for name, column in table.items()}
    if rows in ("event", "sweep"):
        return table
    if "row" in table:  # of features: what is said of the events of a file, else of its sweeps
        keep = table["row"] == ("event" if (table["row"] == "event").any() else "sweep")
        table = {name: column[keep] for name, column in table.items()}
    per_file = _means(table, ["file", *fields])
    if rows == "file":
        return per_file
    return _means(
        {k: v for k, v in per_file.items() if k not in ("file", "n") and not k.endswith("_sd")}, list(fields)
    )


def _means(table: Columns, by: Sequence[str]) -> Columns:
    n = len(next(iter(table.values()), []))
    keys = np.stack([np.asarray(table[name], str) for name in by], 1) if by else np.zeros((n, 1), "U1")
    unique, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    index, order = np.ravel(index), np.argsort(first)
    out: Columns = {name: unique[order, i] for i, name in enumerate(by)}
    out["n"] = np.array([int(np.sum(index == k)) for k in order], np.int64)
    for name, column in table.items():
        if name in by or name in _PLACES or column.dtype.kind not in "iuf":
            continue
        mean, sd = np.full(len(unique), np.nan), np.full(len(unique), np.nan)
        for i, k in enumerate(order):
            values = column[index == k].astype(np.float64)
            values = values[np.isfinite(values)]
            mean[i] = values.mean() if len(values) else np.nan
            sd[i] = values.std(ddof=1) if len(values) > 1 else np.nan
        out[name], out[f"{name}_sd"] = mean, sd
    return out
