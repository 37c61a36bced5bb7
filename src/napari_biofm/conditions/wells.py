"""Names of wells, plates of 6 to 1536 of them, and wells in the names of files."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from napari_biofm.images.io.names import stem_of
from napari_biofm.types import ConditionsError

SHAPES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))  # 6, 12, 24, 48, 96, 384, 1536 wells
_WELL = re.compile(r"\s*(?:well\s*)?([A-Za-z]{1,2})[\s_-]*0*([1-9][0-9]?)\s*", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![A-Za-z0-9])([A-P]|A[A-F])-?0?([1-9]|[1-4][0-9])(?![A-Za-z0-9])", re.IGNORECASE)
_ROW_COLUMN = re.compile(r"(?<![A-Za-z0-9])r0*([0-9]{1,2})c0*([0-9]{1,2})(?![0-9])", re.IGNORECASE)


def row_letters(row: int) -> str:
    """Return the letters of a row counted from 0: A to Z, then AA to AF."""
    return chr(65 + row) if row < 26 else f"A{chr(65 + row - 26)}"


def row_number(letters: str) -> int:
    """Return the number of a row, counted from 0, or -1 where no plate has such a row."""
    upper = letters.upper()
    if len(upper) == 1 and "A" <= upper <= "Z":
        return ord(upper) - 65
    return 26 + ord(upper[1]) - 65 if len(upper) == 2 and upper[0] == "A" and "A" <= upper[1] <= "F" else -1


def well_name(row: int, column: int) -> str:
    """Return the name of a well from its row and column, both counted from 0."""
    return f"{row_letters(row)}{column + 1:02d}"


def plain_well(text: str) -> str:
    """Return the name of a well in one spelling: `a1`, `A-01`, `Well A1` and `A001` are `A01`.

    Raises
    ------
    ConditionsError
        If it is no well of a plate with up to 1536 wells (rows A to AF, columns 1 to 48).
    """
    found = _WELL.fullmatch(text)
    row = row_number(found[1]) if found else -1
    if found is None or not 0 <= row < 32 or int(found[2]) > 48:
        raise ConditionsError(f"{text!r} is no well; wells are called A01 to P24, or up to AF48.")
    return well_name(row, int(found[2]) - 1)


def position(well: str) -> tuple[int, int]:
    """Return row and column of a well, counted from 0."""
    name = plain_well(well)
    letters = name.rstrip("0123456789")
    return row_number(letters), int(name[len(letters) :]) - 1


def plate_shape(wells: Collection[str]) -> tuple[int, int]:
    """Return rows and columns of the smallest plate that has all of these wells."""
    places = [position(well) for well in wells]
    rows, columns = (1 + max((place[i] for place in places), default=0) for i in (0, 1))
    return next(shape for shape in SHAPES if shape[0] >= rows and shape[1] >= columns)


def wells_in(name: str) -> list[str]:
    """Return the wells that a file name may mean, each once: `B02`, `B-2`, and `r02c03` of Opera and Operetta."""
    stem = stem_of(Path(name))
    parts = stem.replace("_", " ")
    found = [well_name(row_number(m[1]), int(m[2]) - 1) for m in _TOKEN.finditer(parts)]
    by_number = re.finditer(_ROW_COLUMN.pattern, parts, re.IGNORECASE)
    found += [
        well_name(int(m[1]) - 1, int(m[2]) - 1)
        for m in by_number
        if 1 <= int(m[1]) <= 32 and 1 <= int(m[2]) <= 48
    ]
    return list(dict.fromkeys(found))
