"""Cells of an NWB file: responses of regions as traces, and the regions as masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.footprints import Footprint, labels_of
from napari_biofm.signals.readers.nwb_series import has_clock, is_numeric, rate_of, start_of
from napari_biofm.signals.readers.optional import H5Trace
from napari_biofm.signals.readers.stamps import Retimed, clock_of, stamps_of
from napari_biofm.signals.recorded import FRAME_CLOCK, NOTES, Channel
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.types import RecordingError

_PREFERRED = ("DfOverF", "Fluorescence")
_ACCEPTED = ("iscell", "is_cell", "accepted", "Accepted")  # columns that say which regions are cells
_FIELD = re.compile(r"of (\d+) x (\d+) pixels")  # in the description that our own export writes


def _roi_series(nwb: Any, pynwb: ModuleType) -> list[tuple[str, Any]]:
    """Return responses of regions with their names, dF/F before fluorescence before others.

    Parameters
    ----------
    nwb : the file.
    pynwb : the module.
    """
    found: list[tuple[int, str, Any]] = []
    for module in nwb.processing.values():
        for container in module.data_interfaces.values():
            kind = type(container).__name__
            if kind in _PREFERRED:
                rank = _PREFERRED.index(kind) + (0 if container.name in _PREFERRED else 2)
                found += [(rank, container.name, s) for s in container.roi_response_series.values()]
            elif isinstance(container, pynwb.ophys.RoiResponseSeries):
                found.append((2 * len(_PREFERRED), "", container))
    known = [one for one in sorted(found, key=lambda one: one[0]) if has_clock(one[2]) and is_numeric(one[2])]
    return [(f"{name} {s.name}".strip(), s) for _, name, s in known]


def cell_parts(path: Path, nwb: Any, pynwb: ModuleType, mask_order: str = "xy") -> list[tuple[str, Any]]:
    """Return the name of each set of traces and what makes it a recording's parts.

    Parameters
    ----------
    path : of the file.
    nwb, pynwb : the file and the module.
    mask_order : of the axes of `image_mask`: "xy" as NWB's schema says, or "yx" as some programs write them.

    Raises
    ------
    RecordingError
        If the order is another.
    """
    if mask_order not in ("xy", "yx"):
        raise RecordingError(f"mask_order is {mask_order!r}; choose xy or yx")
    found = _roi_series(nwb, pynwb)
    return [
        (f"{name} ({_unit(name, one)})", partial(_cells, path, name, one, mask_order)) for name, one in found
    ]


def _cells(path: Path, name: str, series: Any, mask_order: str) -> dict[str, Any]:
    table = series.rois.table if series.rois is not None else _only_table(series)
    data, notes = series.data, []
    rows = [int(i) for i in series.rois.data[:]] if series.rois is not None else None
    n_cells = int(data.shape[1]) if data.ndim == 2 else 1
    turned = data.ndim == 2 and _is_turned(series, rows, table)
    if turned:
        n_cells = int(data.shape[0])
        notes.append("The samples are stored as (cells, frames), not as NWB's schema says: they were turned.")
    if rows is None:
        rows = list(range(n_cells))
    ids = [_label(table, row) for row in rows[:n_cells]]
    n_frames = int(data.shape[1] if turned else data.shape[0])
    rate, start, pauses, said = _clock(path, series, n_frames)
    if said:
        notes.append(said)
    if data.ndim == 1:
        arrays: list[Any] = [H5Trace(str(path), data.name, (n_frames,))]
    else:
        arrays = [
            H5Trace(str(path), data.name, (n_frames,), i, axis=0 if turned else 1) for i in range(n_cells)
        ]
    if pauses is None:  # uneven: on a steady clock, with gaps
        arrays = [Retimed(one, str(path), series.timestamps.name, rate) for one in arrays]
    scale = (float(series.conversion or 1.0), float(getattr(series, "offset", 0.0) or 0.0))
    rois, about = _masks(table, rows[:n_cells], ids, mask_order) if table is not None else (None, [])
    unit = _unit(name, series)
    return {
        "kind": "ophys",
        "channels": tuple(Channel(f"cell {i}", unit, rate, i) for i in ids),
        "samples": ArraySamples([arrays], () if scale == (1.0, 0.0) else [scale] * n_cells),
        "sweep_starts": np.array([start]),
        "rois": rois,
        "said": "",
        "more": {
            NOTES: [*notes, *about],
            **({FRAME_CLOCK: pauses} if pauses else {}),
            **_about_table(table, rows[:n_cells], ids),
        },
    }


def _unit(name: str, series: Any) -> str:
    is_dff = "DfOverF" in type(series.parent).__name__ or re.search(r"df[_ ]?f|dfoverf|df/f", name.lower())
    own = str(series.unit or "")
    return own if own == "z" else "dF/F" if is_dff else "a.u."


def _is_turned(series: Any, rows: list[int] | None, table: Any) -> bool:
    """Return whether the first axis are cells: it has as many entries as there are regions, or stamps fit the other."""
    first, second = (int(n) for n in series.data.shape)
    if series.timestamps is not None:
        return len(series.timestamps) == second != first
    n = len(rows) if rows is not None else (len(table) if table is not None else None)
    return n is not None and first == n != second


def _only_table(series: Any) -> Any | None:
    """Return the only table of regions of a file whose series names none."""
    root = series.get_ancestor("NWBFile")
    tables = [
        one
        for module in (root.processing.values() if root is not None else ())
        for container in module.data_interfaces.values()
        if type(container).__name__ == "ImageSegmentation"
        for one in container.plane_segmentations.values()
    ]
    width = int(series.data.shape[-1]) if series.data.ndim == 2 else 1
    return tables[0] if len(tables) == 1 and len(tables[0]) in (width, int(series.data.shape[0])) else None


def _label(table: Any, row: int) -> int:
    """Return the label of a region: the one our own export wrote, else its id counted from 1."""
    if table is None:
        return row + 1
    if "label" in table.colnames:
        value = table["label"][row]
        if np.issubdtype(np.asarray(value).dtype, np.integer) and int(value) > 0:
            return int(value)
    return int(table.id[row]) + 1


def _clock(path: Path, series: Any, n_frames: int) -> tuple[float, float, list[list[float]] | None, str]:
    """Return rate, start, stretches (first frame, second) between pauses, and what is to be said.

    Traces stay those of the movie's frames: a pause makes no second sweep. Stretches are None where the stamps are not
    steady between pauses: then samples must be interpolated.
    """
    if series.timestamps is None:
        return rate_of(series), start_of(series), [], ""
    stamps = stamps_of(str(path), series.timestamps.name)[:n_frames]
    clock = clock_of(stamps, f"{series.name} in {path.name}")
    start = float(stamps[0])
    if len(clock.stretches) == 1:
        return clock.rate, start, [], ""
    if not clock.stretches:
        return clock.rate, start, None, clock.said
    stretches = [[float(one.start), one.at] for one in clock.stretches]
    longest = float(np.diff(stamps).max())
    n = len(stretches) - 1
    said = (
        f"The movie paused {n} time{'s' if n > 1 else ''}, for up to {longest:.3g} s: the frames stay one trace, events "
        "are put on the file's time stamps."
    )
    return clock.rate, start, stretches, said


def _about_table(table: Any, rows: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """Return which cells were accepted and the plane they lie in, as far as the file says."""
    if table is None:
        return {}
    about: dict[str, Any] = {}
    name = next((one for one in _ACCEPTED if one in table.colnames), None)
    if name is not None:
        flags = np.asarray([np.ravel(table[name][row])[0] for row in rows])
        about["accepted"] = [label for label, flag in zip(ids, flags, strict=True) if float(flag) > 0]
    plane = getattr(table, "imaging_plane", None)
    if plane is not None:
        about["plane"] = str(plane.name)
    return about


def _masks(
    table: Any, rows: Sequence[int], ids: Sequence[int], mask_order: str
) -> tuple[NDArray[np.int32] | None, list[str]]:
    """Return the masks (Y, X) of regions, None where the file has none, and what the user should know."""
    kind = next((one for one in ("image_mask", "pixel_mask", "voxel_mask") if one in table.colnames), None)
    if kind is None:
        return None, ["The regions have no masks in this file: traces only."]
    notes: list[str] = []
    prints: list[Footprint] = []
    size: tuple[int, int] | None = None
    for row in rows:
        mask = np.asarray(table[kind][row])
        if kind == "image_mask":
            if mask.ndim != 2:
                return None, ["The masks are those of a volume: traces only."]
            mask = mask.T if mask_order == "xy" else mask
            size = (int(mask.shape[0]), int(mask.shape[1]))
            y, x = np.nonzero(mask > 0)
            prints.append((y, x, mask[y, x].astype(np.float32)))
        else:
            prints.append(_pixels(mask))
    if kind == "image_mask" and mask_order == "xy":
        notes.append(
            "Image masks were read as (x, y), the order of NWB's schema (mask_order='yx' for the other)."
        )
    if kind == "voxel_mask":
        notes.append("The regions are volumes: their masks are shown from above, all depths in one plane.")
    said = _FIELD.search(str(table.description or ""))
    if said:
        size = (int(said[1]), int(said[2]))
    if size is None:
        size = _field_of(table)
    if size is None:
        rows_, columns = (
            1 + max((int(one[axis].max()) for one in prints if len(one[axis])), default=0) for axis in (0, 1)
        )
        size = (rows_, columns)
        notes.append(
            f"The size of the field is not in the file: {rows_} x {columns} pixels reach to the last region."
        )
    labels, about = labels_of(prints, ids, size)
    return labels, [*notes, *about]


def _pixels(mask: NDArray[Any]) -> Footprint:
    """Return rows, columns and weights of a list of pixels or voxels: (x, y, weight) or (x, y, z, weight)."""
    if mask.dtype.names:
        x, y, weight = (mask[name] for name in ("x", "y", "weight"))
    else:
        table = np.array([tuple(one) for one in mask.tolist()], float).reshape(len(mask), -1)
        x, y, weight = table[:, 0], table[:, 1], table[:, -1]
    return y.astype(np.intp), x.astype(np.intp), weight.astype(np.float32)


def _field_of(table: Any) -> tuple[int, int] | None:
    """Return (Y, X) of the pictures that the regions are drawn on, None where the file names none."""
    for picture in getattr(table, "reference_images", None) or ():
        size = getattr(picture, "dimension", None)
        if size is not None and len(size) >= 2:
            return int(size[1]), int(size[0])
    return None
