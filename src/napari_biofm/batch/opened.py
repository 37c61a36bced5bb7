"""A run or a plate opened again by its wells: which fields a well has, and what lies beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.batch.collect import read_piece
from napari_biofm.batch.jobs import CONDITIONS, CORRECTED, ITEMS, PIECE
from napari_biofm.batch.parameters import IMAGE, RECORDING
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.run import RECIPE
from napari_biofm.conditions.joins import Join, join_names
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.images.io.plates import fields_of, well_of_field
from napari_biofm.types import MEASURED_DTYPE, BatchError, Events, Labels

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_biofm.signals import Recording

ENDINGS = (".tif", ".tiff", ".png", ".zarr")


@dataclass(frozen=True)
class Field:
    """An image of a well.

    Attributes
    ----------
    path : of the image. name : that wells are looked for in. key : of the item, "" where no run made it.
    plate, well : "" where nobody knows.
    masks : file or folder of its masks, None where there are none.
    """

    path: Path
    name: str
    key: str = ""
    plate: str = ""
    well: str = ""
    masks: Path | None = None


@dataclass(frozen=True)
class OpenedRun:
    """Fields by well.

    Attributes
    ----------
    folder : of the run, or the plate or folder of images.
    fields : images, all of them.
    recordings : of a run, all of them.
    wells : table with a row per well and the values a run gave it; None where there is none.
    """

    folder: Path
    fields: tuple[Field, ...]
    wells: DataFrame | None = field(default=None, compare=False)
    recordings: tuple[Field, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> OpenedRun:
        """Open the folder of a run, a plate of OME-Zarr, or a folder of images.

        Raises
        ------
        BatchError
            If there are no images in it.
        """
        if (folder / CONDITIONS).is_file():
            return cls._of_run(folder)
        paths = fields_of(folder)
        if paths == [folder] and folder.is_dir() and folder.suffix.lower() != ".zarr":
            paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in ENDINGS]
        if not paths:
            raise BatchError(f"{folder}: is neither the folder of a run nor a plate, and holds no images.")
        fields = []
        for path in paths:
            place = well_of_field(path)
            name = path.name if place is None else f"{place[0]}_{place[1]}_s{place[2]}"
            plate, well = ("", "") if place is None else place[:2]
            fields.append(Field(path, name, "", plate, well))
        return cls(folder, tuple(fields))

    @classmethod
    def _of_run(cls, folder: Path) -> OpenedRun:
        import pandas as pd

        rows = pd.read_parquet(folder / CONDITIONS)
        fields: dict[str, list[Field]] = {IMAGE: [], RECORDING: []}
        for row in rows.to_dict("records"):
            made = [folder / ITEMS / row["item"] / name for name in ("mask.tif", "labels.ome.zarr")]
            made = [folder / CORRECTED / f"{row['item']}.tif", *made]
            given = [Path(row["masks"])] if row.get("masks") else []
            masks = next((p for p in (*made, *given) if p.exists()), None)
            fields[row["kind"]].append(
                Field(
                    Path(row["path"]), str(row["file"]), row["item"], _text(row.get("plate")),
                    _text(row.get("well")), masks,
                )
            )  # fmt: skip
        wells = folder / "wells.parquet"
        known = pd.read_parquet(wells) if wells.is_file() else None
        return cls(folder, tuple(fields[IMAGE]), known, tuple(fields[RECORDING]))

    def joined(self, plates: PlateMap, pattern: str | None = None) -> tuple[OpenedRun, Join]:
        """Return the same with the wells that a plate map finds in the names, and what matched and what did not."""
        join = join_names(plates, [f.name for f in self.fields], pattern)
        fields = []
        for one, row in zip(self.fields, join.rows, strict=True):
            if row < 0:
                fields.append(one)
                continue
            found = plates.table.iloc[row]
            plate, well = _text(found.get("plate")) or one.plate, _text(found.get("well")) or one.well
            fields.append(Field(one.path, one.name, one.key, plate, well, one.masks))
        return replace(self, fields=tuple(fields)), join

    def plates(self) -> list[str]:
        """Return the names of the plates, "" for one without a name."""
        return sorted({one.plate for one in self.fields if one.well})

    def of_well(self, plate: str, well: str) -> list[Field]:
        """Return the fields of a well."""
        return [one for one in self.fields if one.well == well and one.plate == plate]

    def recipe(self) -> Recipe | None:
        """Return the recipe of the run, None where there is none."""
        path = self.folder / RECIPE
        return Recipe.read(path) if path.is_file() else None


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)


@dataclass(frozen=True, eq=False)
class OpenedField:
    """A field as it is shown.

    Attributes
    ----------
    pixels : the image.
    is_stack : whether its first axis is Z or time; channels come last.
    masks : labels, None where there are none.
    classes : by label, as the run found them.
    traces : of the cells of a movie, None where there are none.
    events : in the traces, None where none were looked for.
    """

    pixels: Any
    is_stack: bool
    masks: Labels | None
    classes: Mapping[int, str]
    traces: Recording | None = None
    events: Events | None = None


def read_field(one: Field, folder: Path) -> OpenedField:
    """Return pixels, masks, classes and traces of a field.

    Parameters
    ----------
    one : the field.
    folder : of the run, where classes stand in the item's table of cells.
    """
    from napari_biofm.api.images import describe_image
    from napari_biofm.api.signals import read_recording

    opened = describe_image(one.path)
    pixels = np.asarray(opened.pixels[...])
    traces = folder / ITEMS / one.key / "traces.npz"
    recording = read_recording(traces) if one.key and traces.is_file() else None
    events = None if recording is None else events_of_item(folder, one.key)
    return OpenedField(pixels, opened.is_stack, masks_of(one), classes_of(one, folder), recording, events)


def masks_of(one: Field) -> Labels | None:
    """Return the masks of a field, None where there are none."""
    from napari_biofm.api.images import read_masks
    from napari_biofm.session.parts import read_labels

    if one.masks is None:
        return None
    return read_labels(one.masks) if one.masks.suffix == ".zarr" else read_masks(one.masks)


def events_of_item(folder: Path, key: str) -> Events | None:
    """Return the events of an item of a run as a table, None where it has none.

    Parameters
    ----------
    folder : of the run.
    key : of the item.
    """
    path = folder / ITEMS / key / f"events{PIECE}"
    if not path.is_file():
        return None
    rows = read_piece(path)
    events = np.zeros(rows.num_rows, MEASURED_DTYPE)
    for name in MEASURED_DTYPE.names or ():
        if name in rows.column_names:
            events[name] = np.asarray(rows[name].to_pylist(), MEASURED_DTYPE[name])
    return events


def classes_of(one: Field, folder: Path) -> dict[int, str]:
    """Return the class of each cell of a field, as the run found it; empty where nothing was classified."""
    piece = folder / ITEMS / one.key / f"cells{PIECE}"
    if not one.key or not piece.is_file():
        return {}
    rows = read_piece(piece)
    if "class" not in rows.column_names:
        return {}
    pairs = zip(rows["label"].to_pylist(), rows["class"].to_pylist(), strict=True)
    return {int(label): str(name) for label, name in pairs if label is not None and name}


def profile_wells(
    folder: Path, plates: PlateMap | None, names: Sequence[str] = (), min_cells: int = 1
) -> DataFrame:
    """Return a row per well: number of cells, medians of their numbers, fractions of classes.

    Parameters
    ----------
    folder : of a run.
    plates : map typed or read since; None takes what the run knew.
    names : columns of cells; all that describe cells if not given.
    min_cells : wells with fewer are left out.

    Raises
    ------
    ConditionsError
        If no cell belongs to a well.
    """
    import pandas as pd

    from napari_biofm.conditions.joins import with_conditions
    from napari_biofm.conditions.profiles import well_profiles

    path = folder / "cells.parquet"
    if not path.is_file():
        raise BatchError(f"{folder}: has no table of cells; run a recipe with the step measure.")
    cells = pd.read_parquet(path)
    cells = cells.drop(columns=[name for name in ("vector",) if name in cells])
    if plates is not None:
        said = [c for c in plates.table.columns if c in cells]
        cells = with_conditions(cells.drop(columns=said), plates, None, "file")[0]
    classes = "class" if "class" in cells else ""
    for name in cells.columns:
        if cells[name].dtype.kind not in "biuf":
            cells[name] = cells[name].astype(object).where(cells[name].notna(), "")
    return well_profiles(cells, names, classes=classes, min_cells=min_cells).table
