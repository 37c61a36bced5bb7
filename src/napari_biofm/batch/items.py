"""The files a recipe works on, each with a key of its own and what is known of its sample."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsFloat

from napari_biofm.batch.lazy import LazySequence
from napari_biofm.batch.parameters import IMAGE, RECORDING
from napari_biofm.batch.recipe import Recipe
from napari_biofm.conditions.joins import Join, join_names
from napari_biofm.conditions.plates import read_plate_map
from napari_biofm.conditions.sheets import read_sheet
from napari_biofm.images.io.names import MaskNames, is_mask_name
from napari_biofm.images.io.plates import fields_of, well_of_field
from napari_biofm.types import BatchError, ConditionsError

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".zarr", ".btf", ".npy")
RECORDING_ENDINGS = (
    ".abf",
    ".nwb",
    ".hea",
    ".dat",
    ".npz",
    ".csv",
    ".h5",
    ".hdf5",
    ".edf",
    ".bdf",
    ".mat",
    ".wcp",
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LARGEST_TABLE = 1 << 30  # bytes; a million files take some hundred megabytes
LONGEST = 80  # characters of a key before its hash


@dataclass(frozen=True)
class Item:
    """One file to work on.

    Attributes
    ----------
    key : name of its results, of letters that every disk takes, unique in a run.
    path : absolute.
    kind : "image" or "recording".
    masks : file of masks that were given, or None.
    columns : what the table of files and the plate map say of it.
    """

    key: str
    path: Path
    kind: str
    masks: Path | None = None
    columns: Mapping[str, str | float] = field(default_factory=dict)


def items_of(recipe: Recipe) -> LazySequence[Item]:
    """Return the items of a recipe, sorted by their keys.

    Raises
    ------
    BatchError
        If a file or folder is missing, a pattern matches nothing, or the table of files lacks its columns.
    ConditionsError
        If the plate map cannot be used.
    """
    nothing: dict[str, str] = {}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for kind, patterns in ((IMAGE, recipe.images), (RECORDING, recipe.recordings)):
        for pattern in patterns:
            for path in _matches(recipe.folder, pattern, kind):
                for one in fields_of(path) if kind == IMAGE else [path]:
                    found.setdefault((str(one), kind), nothing)
    if recipe.files is not None:
        for path, kind, columns in _listed(recipe):
            for one in fields_of(path) if kind == IMAGE else [path]:
                found[(str(one), kind)] = columns
    conditions = (
        _conditions(recipe, [Path(text) for text in dict.fromkeys(text for text, _ in found)])
        if recipe.conditions
        else {}
    )
    folder = None if recipe.masks is None else recipe.folder / recipe.masks
    if folder is not None and not folder.is_dir():
        raise BatchError(f"the folder of masks {folder} is not there.")
    masks = None
    if folder is not None:
        masks = MaskNames(folder, (Path(text) for text, kind in found if kind == IMAGE))

    def item(text: str, kind: str, columns: dict[str, str]) -> Item:
        path = Path(text)
        row = {**_of_plate(path), **columns, **conditions.get(path, {})}
        mask = masks.of(path) if masks is not None and kind == IMAGE else None
        return Item(_key(path, recipe.folder), path, kind, mask, row)

    return kept_small(item(text, kind, columns) for (text, kind), columns in found.items())


def kept_small(items: Iterable[Item]) -> LazySequence[Item]:
    """Return items sorted by their keys, kept as text: paths as objects take five times the memory.

    Parameters
    ----------
    items : in any order.
    """
    kept = sorted((_packed(one) for one in items), key=lambda one: (one[0], os.path.join(*one[2])))
    return LazySequence(lambda i: _unpacked(kept[i]), range(len(kept)))


_Place = tuple[str, str]  # folder and name: items share the text of their folder
_Packed = tuple[str, str, _Place, _Place | None, tuple[str, ...], tuple[str | float, ...]]


def _packed(item: Item) -> _Packed:
    values = tuple(sys.intern(one) if type(one) is str else one for one in item.columns.values())
    names = tuple(sys.intern(name) for name in item.columns)
    masks = None if item.masks is None else _place(item.masks)
    return item.key, sys.intern(item.kind), _place(item.path), masks, names, values


def _place(path: Path) -> _Place:
    return sys.intern(str(path.parent)), path.name


def _unpacked(packed: _Packed) -> Item:
    key, kind, place, masks, names, values = packed
    columns = dict(zip(names, values, strict=True))
    return Item(key, Path(*place), kind, None if masks is None else Path(*masks), columns)


def _key(path: Path, folder: Path) -> str:
    """Return a name from the path below the recipe's folder; what differs in a letter differs in the hash."""
    try:
        text = path.relative_to(folder).as_posix()
    except ValueError:
        text = path.as_posix()
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{_UNSAFE.sub('_', text).strip('._')[-LONGEST:]}-{digest}"


def _matches(folder: Path, pattern: str, kind: str) -> Iterator[Path]:
    whole = Path(pattern)
    start = whole if whole.is_absolute() else folder / pattern
    endings = IMAGE_ENDINGS if kind == IMAGE else RECORDING_ENDINGS
    if start.exists() and not (start.is_dir() and start.suffix.lower() != ".zarr"):
        yield start.absolute()
        return
    if start.is_dir():
        inside = [one.path for one in os.scandir(start) if Path(one.name).suffix.lower() in endings]
    elif any(c in pattern for c in "*?["):
        anchor = Path(whole.anchor) if whole.is_absolute() else folder
        found = anchor.glob(str(whole.relative_to(whole.anchor)) if whole.is_absolute() else pattern)
        inside = [str(one) for one in found]
    else:
        raise BatchError(f"{start}: there is no such file or folder.")
    chosen = [text for text in sorted(inside) if kind != IMAGE or not is_mask_name(Path(text))]
    if not chosen:
        raise BatchError(f"{pattern!r} matches no {kind} in {folder}.")
    yield from (Path(text).absolute() for text in chosen)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV or TSV with a header, each with its line."""
    try:
        sheet = read_sheet(path, "table of files", largest=LARGEST_TABLE, comments=False)
    except ConditionsError as error:
        raise BatchError(str(error)) from error
    names = [name.strip() for name in sheet.header]
    return [
        (number, dict(zip(names, (cell.strip() for cell in row), strict=True)))
        for number, row in zip(sheet.numbers, sheet.rows, strict=True)
    ]


def _listed(recipe: Recipe) -> Iterator[tuple[Path, str, dict[str, str]]]:
    table = recipe.folder / str(recipe.files)
    rows = _rows(table)
    if "file" not in rows[0][1]:
        columns = ", ".join(rows[0][1])
        raise BatchError(f"{table}: has no column 'file' (its columns: {columns}).")
    for number, row in rows:
        if not row["file"]:
            raise BatchError(f"{table}, line {number}: names no file.")
        path = Path(row["file"])
        path = path if path.is_absolute() else table.parent / path
        kind = row.get("kind") or (IMAGE if path.suffix.lower() in IMAGE_ENDINGS else RECORDING)
        if kind not in (IMAGE, RECORDING):
            raise BatchError(f"{table}, line {number}: kind {kind!r} is neither image nor recording.")
        yield path.absolute(), kind, {k: v for k, v in row.items() if k not in ("file", "kind")}


def join_of(recipe: Recipe, paths: Sequence[Path]) -> Join:
    """Return which row of the recipe's plate map each file belongs to.

    Raises
    ------
    ConditionsError
        If the map cannot be read or the pattern not be used.
    """
    plates = read_plate_map(recipe.folder / str(recipe.conditions))
    return join_names(plates, [_name_to_join(path) for path in paths], recipe.match)


def _name_to_join(path: Path) -> str:
    """Return the path; of a field of a plate a name that says plate, well and field."""
    field = well_of_field(path)
    return str(path) if field is None else f"{field[0]}/{field[0]}_{field[1]}_s{field[2]}"


def _of_plate(path: Path) -> dict[str, str | float]:
    field = well_of_field(path)
    return {} if field is None else {"plate": field[0], "well": field[1], "field": field[2]}


def _conditions(recipe: Recipe, paths: Sequence[Path]) -> dict[Path, dict[str, str | float]]:
    join = join_of(recipe, paths)
    columns = [name for name in join.map.table.columns if name != "file"]
    table = join.map.table
    return {
        path: {name: _plain(table[name].iloc[row]) for name in columns} if row >= 0 else {}
        for path, row in zip(paths, join.rows, strict=True)
    }


def _plain(value: object) -> str | float:
    return float(value) if isinstance(value, SupportsFloat) and not isinstance(value, str) else str(value)
