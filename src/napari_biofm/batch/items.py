"""The files a recipe works on, each with a key of its own and what is known of its sample."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsFloat

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


def items_of(recipe: Recipe) -> list[Item]:
    """Return the items of a recipe, sorted by their keys.

    Raises
    ------
    BatchError
        If a file or folder is missing, a pattern matches nothing, or the table of files lacks its columns.
    ConditionsError
        If the plate map cannot be used.
    """
    found: dict[tuple[Path, str], dict[str, str]] = {}
    for kind, patterns in ((IMAGE, recipe.images), (RECORDING, recipe.recordings)):
        for pattern in patterns:
            for path in _matches(recipe.folder, pattern, kind):
                for one in fields_of(path) if kind == IMAGE else [path]:
                    found.setdefault((one, kind), {})
    if recipe.files is not None:
        for path, kind, columns in _listed(recipe):
            for one in fields_of(path) if kind == IMAGE else [path]:
                found[(one, kind)] = columns
    conditions = (
        _conditions(recipe, list(dict.fromkeys(path for path, _ in found))) if recipe.conditions else {}
    )
    masks = None if recipe.masks is None else recipe.folder / recipe.masks
    if masks is not None and not masks.is_dir():
        raise BatchError(f"the folder of masks {masks} is not there.")
    images = [path for path, kind in found if kind == IMAGE]
    by_mask = _masks(masks, images) if masks is not None else {}
    items = []
    for (path, kind), columns in found.items():
        row = {**_of_plate(path), **columns, **conditions.get(path, {})}
        items.append(Item(_key(path, recipe.folder), path, kind, by_mask.get(path), row))
    return sorted(items, key=lambda item: (item.key, str(item.path)))


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
        inside = [p for p in sorted(start.iterdir()) if p.suffix.lower() in endings]
    elif any(c in pattern for c in "*?["):
        anchor = Path(whole.anchor) if whole.is_absolute() else folder
        inside = sorted(anchor.glob(str(whole.relative_to(whole.anchor)) if whole.is_absolute() else pattern))
    else:
        raise BatchError(f"{start}: there is no such file or folder.")
    chosen = [p.absolute() for p in inside if kind != IMAGE or not is_mask_name(p)]
    if not chosen:
        raise BatchError(f"{pattern!r} matches no {kind} in {folder}.")
    yield from chosen


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


def _masks(folder: Path, images: list[Path]) -> dict[Path, Path]:
    names = MaskNames(folder, images)
    found = {image: names.of(image) for image in images}
    return {image: mask for image, mask in found.items() if mask is not None}
