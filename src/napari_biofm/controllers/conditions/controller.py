"""What was done to each well beside what its cells do: the plate map, its grid, and the field of a well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_biofm.analyses.description import Result
from napari_biofm.analyses.wells import table_of
from napari_biofm.batch.correct import corrected_field
from napari_biofm.batch.draft import Draft
from napari_biofm.batch.opened import Field, OpenedField, OpenedRun, profile_wells, read_field
from napari_biofm.batch.result import BatchResult
from napari_biofm.cells.table.export import write_rows
from napari_biofm.conditions.plates import PlateMap, plate_map, read_plate_map
from napari_biofm.conditions.profiles import MIN_CONTROLS
from napari_biofm.conditions.sheets import Sheet
from napari_biofm.conditions.wells import SHAPES, plate_shape, row_letters, well_name
from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.controllers.conditions.poses import PosesOfWells
from napari_biofm.controllers.conditions.treated import TreatedWells
from napari_biofm.controllers.conditions.well import Well, counts_of, features_of
from napari_biofm.session import Session
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.types import BiofmError, Segmentation

if TYPE_CHECKING:
    from pandas import DataFrame

HERE = ("plate", "well")
TYPED = ("compound", "dose", "control")  # columns that an empty map offers


class ConditionsController:
    """The wells of a plate.

    Parameters
    ----------
    session : gets the layers of a field.
    viewer : shows them.
    run : reads fields and tables.
    """

    changed = Signal()  # the grid
    profiled = Signal(str, dict)  # name of the table of wells, and its columns
    said = Signal(str)
    failed = Signal(object)

    def __init__(self, session: Session, viewer: Any, run: RunJob) -> None:
        self._session, self._viewer, self._run = session, viewer, run
        self.map: PlateMap | None = None
        self.opened: OpenedRun | None = None
        self.wells: DataFrame | None = None
        self.plate, self.column = "", "compound"
        self._n_shown = 0
        self._shown: Field | None = None
        self._image: Any = None  # layers of the field that is shown
        self._cells: Any = None
        self._traces = ""
        self._told = ""  # of the field that is shown
        self.treated = TreatedWells()
        self.poses = PosesOfWells(viewer, run, lambda text: self.said.emit(f"{self._told}\n{text}".strip()))

    # ------------------------------------------------------------------ reading

    def read_map(self, path: Path) -> None:
        """Read a plate map, and say what of the opened run belongs to it."""
        self._try(lambda: self._use_map(read_plate_map(path)))

    def open(self, folder: Path) -> None:
        """Open the folder of a run, a plate, or a folder of images."""

        def use() -> None:
            self.opened = OpenedRun.open(folder)
            self.use_wells(self.opened.wells)
            self.said.emit(f"{len(self.opened.fields)} fields in {folder.name}.")
            self._join()

        self._try(use)

    def open_poses(self, folder: Path) -> None:
        """Read docking results, whose best poses stand beside the fields of their compounds' wells."""
        self.poses.open(folder, None if self.map is None else self.map.table)

    def _show_pose(self, well: str) -> None:
        rows = [
            self._by_well(table).get(well, {})
            for table in (self.wells, None if self.map is None else self.map.table)
        ]
        self.poses.show(_short({**rows[0], **rows[1]}.get("compound")), well, self._image)

    def use_vectors(self, result: Result) -> None:
        """Show what vectors of compounds or sequences told of each well."""
        self.treated.put(result)
        self.changed.emit()

    def set_well(self, well: str, text: str) -> None:
        """Type what was done to a well, in the column that is shown; values of cells are not typed."""
        known = set(TYPED if self.map is None else (*TYPED, *self.map.columns))
        if self.column not in known:
            made = "computed" if self.column in self.treated.columns else "measured"
            self.said.emit(f"{self.column} was {made}; choose a column of the plate map to type into.")
            self.changed.emit()
            return
        rows: dict[tuple[str, str], dict[str, str]] = {}
        if self.map is not None:
            for row in self.map.table.astype(str).replace("nan", "").to_dict("records"):
                rows[row.get("plate", ""), row["well"]] = {str(k): str(v) for k, v in row.items()}
        plate = self.plate
        rows.setdefault((plate, well), {"well": well, **({"plate": plate} if plate else {})})[self.column] = (
            text
        )
        header = tuple(dict.fromkeys(name for row in rows.values() for name in row))
        lines = tuple(tuple(row.get(name, "") for name in header) for row in rows.values())
        sheet = Sheet(header, lines, tuple(range(2, len(lines) + 2)))
        self._try(lambda: self._use_map(plate_map(sheet, "the typed map")))

    def save_map(self, path: Path) -> None:
        """Write the plate map as CSV."""
        if self.map is None:
            self.said.emit("There is no plate map yet: open one, or type into the grid.")
            return
        table = self.map.table
        self._try(lambda: self.said.emit(f"Written: {write_rows(table, path).name}"))

    def _use_map(self, plates: PlateMap) -> None:
        self.map = plates
        self.treated.use(self.wells, self.map)
        self._join()

    def _join(self) -> None:
        if self.opened is not None and self.map is not None and len(self.map.table):
            self.opened, join = self.opened.joined(self.map)
            self.said.emit("\n".join([join.preview(4), *self.map.notes]))
        names = self.plates()
        if self.plate not in names:
            self.plate = names[0] if names else ""
        if self.column not in self.columns():
            self.column = next((c for c in ("compound", "n_cells", *self.columns())), "compound")
        self.changed.emit()

    def _try(self, do: Any) -> None:
        try:
            do()
        except (BiofmError, OSError) as error:
            self.failed.emit(error)
            self.changed.emit()

    # ------------------------------------------------------------------ the grid

    def plates(self) -> list[str]:
        """Return the names of the plates."""
        names = set(self.opened.plates()) if self.opened is not None else set()
        if self.map is not None and "plate" in self.map.table:
            names |= set(self.map.table["plate"].astype(str))
        return sorted(names)

    def columns(self) -> list[str]:
        """Return what the grid can show: columns of the map, then values of wells."""
        known = list(TYPED if self.map is None else dict.fromkeys((*self.map.columns, *TYPED)))
        if self.wells is not None:
            numbers = [str(c) for c in self.wells.columns if self.wells[c].dtype.kind in "biuf"]
            known += [c for c in numbers if c not in known]
        return [*known, *(c for c in self.treated.columns if c not in known)]

    def choose(self, plate: str, column: str) -> None:
        """Show another plate or column."""
        self.plate, self.column = plate, column
        self.changed.emit()

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the plate."""
        wells = [f.well for f in self.opened.fields if f.well] if self.opened is not None else []
        wells += [] if self.map is None or "well" not in self.map.table else list(self.map.table["well"])
        return plate_shape(wells) if wells else SHAPES[4]

    def row_names(self) -> list[str]:
        """Return the letters of the rows."""
        return [row_letters(row) for row in range(self.shape()[0])]

    def show_at(self, row: int, column: int) -> None:
        """Show the next field of the well at a place of the grid."""
        self.show(well_name(row, column))

    def type_at(self, row: int, column: int, text: str) -> None:
        """Type what was done to the well at a place of the grid."""
        self.set_well(well_name(row, column), text)

    def grid(self) -> list[list[Well]]:
        """Return what each well shows."""
        n_rows, n_columns = self.shape()
        said = self._by_well(None if self.map is None else self.map.table)
        values, made = self._by_well(self.wells), self._by_well(self.treated.found)
        values = {well: {**values.get(well, {}), **made.get(well, {})} for well in {*values, *made}}
        shades = {
            well: float(row[self.column]) for well, row in {**said, **values}.items()
            if isinstance(row.get(self.column), (int, float, np.number))
        }  # fmt: skip
        known = [v for v in shades.values() if np.isfinite(v)]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        out = []
        for r in range(n_rows):
            line = []
            for c in range(n_columns):
                well = well_name(r, c)
                row = {**values.get(well, {}), **said.get(well, {})}
                value = row.get(self.column, "")
                number = shades.get(well, float("nan"))
                shade = (
                    0.5 if high == low and np.isfinite(number) else (number - low) / max(high - low, 1e-300)
                )
                fields = 0 if self.opened is None else len(self.opened.of_well(self.plate, well))
                facts = [f"{k}: {_short(v)}" for k, v in row.items() if k not in HERE and _short(v)][:12]
                line.append(Well(_short(value), shade, "\n".join([f"{well}, {fields} fields", *facts])))
            out.append(line)
        return out

    def _by_well(self, table: DataFrame | None) -> dict[str, dict[str, Any]]:
        if table is None or "well" not in table:
            return {}
        here = table[table["plate"].astype(str) == self.plate] if "plate" in table and self.plate else table
        return {str(row["well"]): {str(k): v for k, v in row.items()} for row in here.to_dict("records")}

    # ------------------------------------------------------------------ fields and profiles

    def show(self, well: str) -> None:
        """Show the next field of a well with its masks and classes."""
        fields = [] if self.opened is None else self.opened.of_well(self.plate, well)
        if not fields or self.opened is None:
            self.said.emit(f"No field of {well} is open: open the folder of a run, or a plate.")
            self._clear()
            self._show_pose(well)
            return
        chosen = fields[self._n_shown % len(fields)]
        self._n_shown += 1

        def put(found: OpenedField) -> None:
            self._put(chosen, found)
            self._show_pose(well)

        self._run(
            read_field, chosen, self.opened.folder, name=f"Open {chosen.name}", lane="interactive",
            on_done=put,
        )  # fmt: skip

    def _put(self, one: Field, found: OpenedField) -> None:
        pixels, masks, classes = found.pixels, found.masks, found.classes
        self._shown, self._cells = one, None
        self._clear()
        about = {"biofm_well": one.well, "path": str(one.path)}
        name = f"{one.well} {one.name}".strip()
        has_channels = pixels.ndim > 2 + found.is_stack
        rgb = has_channels and pixels.shape[-1] in (3, 4) and pixels.dtype == np.uint8
        how = {"channel_axis": pixels.ndim - 1} if has_channels and not rgb else {"rgb": rgb}
        image = self._viewer.add_image(pixels, name=name, metadata=about, **how)
        image = image[0] if isinstance(image, list) else image
        self._image = image
        if masks is None:
            self._session.set_layers(image=layer_id(image))
            return
        ids = np.unique(masks)
        labels = self._cells = self._viewer.add_labels(
            masks, name=f"{name} cells", metadata={"biofm_well": one.well}, features=features_of(ids, classes)
        )
        self._session.set_segmentation(layer_id(labels), Segmentation(masks, provenance={"model": "a run"}))
        self._session.set_layers(image=layer_id(image), labels=layer_id(labels))
        self._put_traces(found)
        counts = ", ".join(f"{n} {c}" for c, n in counts_of(classes))
        self._told = f"{one.name}: {len(ids[ids > 0])} cells{f' ({counts})' if counts else ''}."
        self.said.emit(self._told)

    def _clear(self) -> None:
        """Take the layers of the former well away."""
        self._image, self._told = None, ""
        for layer in [x for x in self._viewer.layers if x.metadata.get("biofm_well")]:
            self._viewer.layers.remove(layer)

    def _put_traces(self, found: OpenedField) -> None:
        """Put the traces of the shown field, with their events, in the place of the former ones."""
        if self._traces in self._session.recordings:
            self._session.remove_recording(self._traces)
        if found.traces is None or self._shown is None:
            return
        on = MeasuredOn(layer_id(self._image), layer_id(self._cells))
        recording = replace(found.traces, measured_on=on)
        self._traces = self._session.add_recording(recording, f"traces of {self._shown.name}")
        if found.events is not None:
            self._session.set_events(self._traces, found.events, {"detector": "a run"}, name="open field")

    def correct(self) -> None:
        """Keep the masks of the shown field as corrected by hand, and have the run do again what depends on them."""
        one, layer = self._shown, self._cells
        if (
            self.opened is None
            or one is None
            or not one.key
            or layer is None
            or layer not in self._viewer.layers
        ):
            self.said.emit(
                "Open the folder of a run, click a well, and correct the masks of its field first."
            )
            return
        masks, folder = np.array(layer.data), self.opened.folder
        self._run(
            corrected_field, folder, one.key, masks, name=f"Again: {one.name}", bound_to=layer_id(layer),
            on_done=lambda found: self._corrected(one, found),
        )  # fmt: skip

    def _corrected(self, one: Field, found: tuple[OpenedField, BatchResult]) -> None:
        field, result = found
        if self.opened is None or result.out != self.opened.folder.absolute():
            return  # another folder was opened meanwhile
        plates = {f.key: (f.plate, f.well) for f in self.opened.fields}
        fresh = OpenedRun.open(self.opened.folder)
        fields = [replace(f, plate=plates[f.key][0], well=plates[f.key][1]) for f in fresh.fields]
        self.opened = replace(fresh, fields=tuple(fields))
        self.use_wells(self.opened.wells if self.opened.wells is not None else self.wells)
        if self._shown is not None and self._shown.key == one.key and self._cells in self._viewer.layers:
            rows = features_of(np.unique(np.asarray(self._cells.data)), field.classes)
            if rows is not None:
                self._cells.features = rows
            self._put_traces(field)
        counts = ", ".join(f"{n} rows of {name}" for name, n in result.tables.items())
        self.said.emit(
            " ".join([f"{one.name} was corrected by hand: {counts}; the report follows.", *result.problems])
        )
        self.changed.emit()

    def profile(self) -> None:
        """Make the table of wells from the cells of the opened run."""
        if self.opened is None:
            self.said.emit("Open the folder of a run first.")
            return

        def done(wells: DataFrame) -> None:
            self.use_wells(wells)
            self.said.emit(f"{len(wells)} wells.")
            self._join()

        self._run(profile_wells, self.opened.folder, self.map, name="Profiles of wells", on_done=done)

    def use_wells(self, wells: DataFrame | None) -> None:
        """Keep a table of wells, for the grid and for analyses."""
        self.wells = wells
        if wells is not None:
            self.profiled.emit("the wells", table_of(wells))
        self.treated.use(wells, self.map)

    def draft(self) -> Draft:
        """Return the recipe of the opened run with this plate map and the step profiles."""
        recipe = None if self.opened is None else self.opened.recipe()
        if recipe is None or self.opened is None:
            return Draft(notes=("open the folder of a run first.",))
        steps = [(s.name, s.parameters) for s in recipe.steps if s.name != "profiles"]
        entries: dict[str, Any] = {}
        given = {
            str(f.masks.parent)
            for f in self.opened.fields
            if f.masks and not f.masks.is_relative_to(self.opened.folder)
        }
        if len(given) == 1:
            entries["masks"] = given.pop()
        beside = {}
        if self.map is not None:
            table = self.map.table
            entries["conditions"] = "plate_map.csv"
            beside["plate_map.csv"] = lambda path: write_rows(table, path)
        images = tuple(f.path for f in self.opened.fields)
        profiles = {"min_cells": 1, "normalise": "robust_z" if self._has_controls() else "none"}
        return Draft(images, (), (*steps, ("profiles", profiles)), entries, beside)

    def _has_controls(self) -> bool:
        table = None if self.map is None else self.map.table
        return (
            table is not None
            and "control" in table
            and int((table["control"] == "negative").sum()) >= MIN_CONTROLS
        )


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if np.isfinite(value) else ""
    return "" if value is None else str(value)
