"""Which file, image or row of cells is which well of a plate map, and which are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_biofm.conditions.plates import PlateMap
from napari_biofm.conditions.wells import plain_well, row_letters, wells_in
from napari_biofm.images.io.names import stem_of
from napari_biofm.text_columns import filled
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

FIELDS = ("plate", "well", "row", "column", "file", "subject", "site", "channel")  # of a pattern
_SHAPE = {"row": r"[A-Za-z]{1,2}|[0-9]{1,2}", "column": r"[0-9]{1,2}", "well": r"[A-Za-z]{1,2}-?[0-9]{1,3}"}


@dataclass(frozen=True)
class Join:
    """Which name belongs to which row of the map.

    Attributes
    ----------
    names : what was joined, in the order given.
    rows : for each name the row of the map's table, or -1.
    reasons : for each name why it has none; empty where it has one.
    unused : rows of the table that no name belongs to.
    map : the plate map.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    reasons: tuple[str, ...]
    unused: tuple[int, ...]
    map: PlateMap

    @property
    def n_matched(self) -> int:
        """How many names belong to a row."""
        return sum(row >= 0 for row in self.rows)

    def table(self) -> DataFrame:
        """Return one row per name: `name`, the columns of the map (empty where there is none), `unmatched` (why)."""
        taken = self.map.table.reindex(list(self.rows)).reset_index(drop=True)
        for column in taken.columns:
            taken[column] = filled(taken[column])
        taken.insert(0, "name", list(self.names))
        return taken.assign(unmatched=list(self.reasons))

    def preview(self, most: int = 12) -> str:
        """Return what matched and what did not, in lines for a person.

        Parameters
        ----------
        most : names and wells to list of each kind.
        """
        lines = [
            f"{self.n_matched} of {len(self.names)} names belong to a row of {self.map.name or 'the map'}"
        ]
        matched = [(n, r) for n, r in zip(self.names, self.rows, strict=True) if r >= 0]
        lines += [f"  {name}: {self._say(row)}" for name, row in matched[:3]]
        lost = [(n, why) for n, why in zip(self.names, self.reasons, strict=True) if why]
        lines += [f"  not matched: {name}: {why}" for name, why in lost[:most]]
        if len(lost) > most:
            lines.append(f"  and {len(lost) - most} more without a row")
        if self.unused:
            shown = ", ".join(self._say(row, short=True) for row in self.unused[:most])
            more = f" and {len(self.unused) - most} more" if len(self.unused) > most else ""
            lines.append(f"{len(self.unused)} rows of the map have no name: {shown}{more}")
        return "\n".join(lines)

    def _say(self, row: int, *, short: bool = False) -> str:
        found = self.map.table.iloc[row]
        keys = [c for c in ("plate", "well", "file", "subject") if str(found.get(c, ""))]
        columns = keys if short else [*keys, *(c for c in self.map.columns if c not in keys)]
        return " ".join(f"{found[c]:g}" if isinstance(found[c], float) else str(found[c]) for c in columns)


def join_names(plates: PlateMap, names: Sequence[str | Path], pattern: str | None = None) -> Join:
    """Find the row of a plate map that each file or image belongs to.

    Parameters
    ----------
    plates : the plate map.
    names : files (with their folders, which may name the plate) or images.
    pattern : how names are made, such as `{plate}_{well}_s{site}`, or a regular expression with named groups; `*`
        stands for anything. Without it the map's column `file` is used where there is one, else the one well that
        stands in the name.

    Raises
    ------
    ConditionsError
        If the pattern cannot be used.
    """
    match = None if pattern is None else compiled(pattern)
    index = _index(plates)
    rows, reasons = [], []
    for name in names:
        row, why = _find(plates, index, PurePath(str(name)), match)
        rows.append(row)
        reasons.append(why)
    used = set(rows)
    unused = tuple(i for i in range(len(plates.table)) if i not in used)
    return Join(tuple(str(name) for name in names), tuple(rows), tuple(reasons), unused, plates)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of names as a regular expression with named groups.

    Raises
    ------
    ConditionsError
        If a field is not known, or no field says which row is meant.
    """
    try:
        if "(?P<" in pattern:
            made = re.compile(pattern)
        else:
            parts = re.split(r"(\{[^}]*\}|\*)", pattern)
            text = "".join(_part(part) for part in parts)
            made = re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ConditionsError(f"The pattern {pattern!r} cannot be used: {error}.") from error
    fields = set(made.groupindex)
    if not ({"well", "file", "subject"} & fields or {"row", "column"} <= fields):
        raise ConditionsError(
            f"The pattern {pattern!r} does not say where the well stands; write {{well}}, or {{row}} and {{column}}, "
            "{file} or {subject}."
        )
    return made


def _part(part: str) -> str:
    if part == "*":
        return ".*?"
    if not part.startswith("{"):
        return re.escape(part)
    field = part[1:-1]
    if field not in FIELDS:
        raise ConditionsError(f"{{{field}}} is no part of a name; use {', '.join(FIELDS)}.")
    return f"(?P<{field}>{_SHAPE.get(field, '.+?')})"


def _index(plates: PlateMap) -> dict[tuple[str, ...], list[int]]:
    """Rows by (kind, plate, key); the plate in lower case, `*` for any."""
    out: dict[tuple[str, ...], list[int]] = {}
    table = plates.table
    for i in range(len(table)):
        row = table.iloc[i]
        for kind in ("well", "file", "subject"):
            if kind in table and str(row[kind]):
                key = (
                    stem_of(Path(str(row[kind]))).casefold() if kind == "file" else str(row[kind]).casefold()
                )
                plate = str(row["plate"]).casefold() if "plate" in table else ""
                for of in {plate, "*"}:
                    out.setdefault((kind, of, key), []).append(i)
    return out


def _find(
    plates: PlateMap, index: dict[tuple[str, ...], list[int]], name: PurePath, match: re.Pattern[str] | None
) -> tuple[int, str]:
    stem = stem_of(Path(name.name))
    if match is not None:
        found = match.fullmatch(stem) or match.fullmatch(name.name) or match.fullmatch(name.as_posix())
        if found is None:
            return -1, "the name does not fit the pattern"
        return _by_fields(plates, index, found.groupdict(), name)
    if "file" in plates.table:
        return _only(
            plates, index.get(("file", "*", stem.casefold()), []), name, f"no row has the file {stem}"
        )
    if "well" not in plates.table:
        subjects = {str(s).casefold() for s in plates.table["subject"]} - {""}
        inside = [s for s in subjects if _stands_in(s, name)]
        rows = [row for s in inside for row in index[("subject", "*", s)]]
        return _only(plates, rows, name, "no subject of the map stands in the name")
    wells = wells_in(name.name)
    if not wells:
        return -1, "no well stands in the name"
    known = [well for well in wells if ("well", "*", well.casefold()) in index]
    if len(known) > 1:
        return -1, f"the name holds several wells, {' and '.join(known)}: give a pattern"
    if not known:
        return -1, f"well {' or '.join(wells)} is not in the map"
    return _only(plates, index[("well", "*", known[0].casefold())], name, "")


def _by_fields(
    plates: PlateMap, index: dict[tuple[str, ...], list[int]], fields: dict[str, str], name: PurePath
) -> tuple[int, str]:
    kind = next((k for k in ("file", "subject") if fields.get(k) and k in plates.table), "well")
    text = fields.get(kind) or ""
    if kind == "well":
        row, column = fields.get("row") or "", fields.get("column") or ""
        if not text and row.isdigit():
            row = row_letters(int(row) - 1) if 1 <= int(row) <= 32 else ""
        try:
            text = plain_well(text or row + column)
        except ConditionsError as error:
            return -1, str(error)
    plate = (fields.get("plate") or "").casefold()
    rows = index.get((kind, plate or "*", text.casefold()), []) if "plate" in plates.table else None
    if rows is None:
        rows = index.get((kind, "*", text.casefold()), [])
    where = f" of plate {fields['plate']}" if plate and "plate" in plates.table else ""
    return _only(plates, rows, name, f"{kind} {text}{where} is not in the map")


def _only(plates: PlateMap, rows: list[int], name: PurePath, otherwise: str) -> tuple[int, str]:
    if not rows:
        return -1, otherwise
    if len(rows) == 1 and ("plate" not in plates.table or plates.table["plate"].nunique() == 1):
        return rows[0], ""
    if "plate" not in plates.table:
        return -1, f"{len(rows)} rows fit"
    if len(rows) == 1:
        return rows[0], ""
    here = [row for row in rows if _stands_in(str(plates.table["plate"].iloc[row]), name)]
    if len(here) == 1:
        return here[0], ""
    several = ", ".join(str(plates.table["plate"].iloc[row]) for row in (here or rows)[:6])
    return -1, f"it may be of plate {several}: name the plate in the file or its folder, or give a pattern"


def _stands_in(word: str, name: PurePath) -> bool:
    text = "/".join([*name.parts[:-1], stem_of(Path(name.name))])
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", text, re.IGNORECASE) is not None


def with_conditions(
    rows: DataFrame, plates: PlateMap, pattern: str | None = None, column: str = ""
) -> tuple[DataFrame, Join]:
    """Return rows (cells, events, values) with the columns of the plate map, and how they were joined.

    Parameters
    ----------
    rows : a table. Its columns `well` (and `plate`) or `subject` are used where the map has them, else `column`.
    plates : the plate map.
    pattern : how the names in `column` are made, as in `join_names`.
    column : that names the image or file; the first of file, image, layer, group, name if not given.

    Raises
    ------
    ConditionsError
        If no column says which row is which, or nothing fits.
    """
    table = plates.table
    if column or pattern:
        names = _names_of(rows, column)
    elif "well" in rows and "well" in table:
        plate = [f"{p}/" for p in rows["plate"]] if {"plate"} <= set(rows) & set(table) else [""] * len(rows)
        names = [f"{p}{_well_or(w)}" for p, w in zip(plate, rows["well"].astype(str), strict=True)]
    elif "subject" in rows and "subject" in table and "well" not in table:
        names = list(rows["subject"].astype(str))
    else:
        names = _names_of(rows, "")
    different = list(dict.fromkeys(names))
    join = join_names(plates, different, pattern)
    if not join.n_matched:
        raise ConditionsError(f"Nothing fits {plates.name or 'the map'}: {join.preview(4)}")
    at = dict(zip(different, join.rows, strict=True))
    taken = table.reindex([at[name] for name in names])
    out = rows.copy()
    for name in table.columns:
        values = filled(taken[name])
        if name in rows:
            values = values.where(taken.index.to_numpy() >= 0, rows[name].to_numpy())
        out[name] = values.to_numpy()
    return out, join


def _well_or(text: str) -> str:
    try:
        return plain_well(text)
    except ConditionsError:
        return text


def _names_of(rows: DataFrame, column: str) -> list[str]:
    wanted = [column] if column else ["file", "image", "layer", "group", "name"]
    found = next((c for c in wanted if c in rows), None)
    if found is None:
        raise ConditionsError(
            f"There is no column {' or '.join(wanted)} that says which well a row belongs to; there are "
            f"{', '.join(map(str, list(rows.columns)[:12]))}."
        )
    return list(rows[found].astype(str))
