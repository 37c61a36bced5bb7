"""Plates of OME-Zarr (HCS): the fields of their wells, each an image of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari_biofm.types import ImageError

_STEP = re.compile(r"[A-Za-z0-9_ .-]+")  # one folder of a path inside a plate


def in_zarr(path: Path) -> Path | None:
    """Return the zarr folder that a path lies in, None where it lies in none."""
    return next((parent for parent in path.parents if parent.suffix.lower() == ".zarr"), None)


def fields_of(path: Path) -> list[Path]:
    """Return the fields of all wells of a plate, in the order the plate names them; the path itself for other files.

    Raises
    ------
    ImageError
        If the plate names a well or field that is not in its folder.
    """
    if path.suffix.lower() != ".zarr" or not path.is_dir():
        return [path]
    plate = _about(path).get("plate")
    if not isinstance(plate, dict):
        return [path]
    fields = []
    for well in plate.get("wells") or []:
        folder = _below(path, str(well.get("path", "")), path)
        for image in (_about(folder).get("well") or {}).get("images") or []:
            fields.append(_below(folder, str(image.get("path", "")), path))
    if not fields:
        raise ImageError(f"{path.name} is a plate without fields; it was not written completely.")
    return fields


def well_of_field(path: Path) -> tuple[str, str, str] | None:
    """Return plate, well (`A01`) and field of a path inside a plate; None for other paths."""
    plate = in_zarr(path)
    if plate is None:
        return None
    parts = path.relative_to(plate).parts
    if len(parts) != 3 or not parts[0].isalpha() or not parts[1].isdigit():
        return None
    return plate.stem, f"{parts[0].upper()}{int(parts[1]):02d}", parts[2]


def _below(folder: Path, name: str, plate: Path) -> Path:
    steps = name.split("/")
    if not all(_STEP.fullmatch(step) and step.strip(".") for step in steps):
        raise ImageError(f"{plate.name} names '{name}', which is no folder inside of it.")
    found = folder.joinpath(*steps)
    if not found.is_dir():
        raise ImageError(f"{plate.name} names '{name}', which is not there; it was not written completely.")
    return found


def _about(folder: Path) -> dict[str, Any]:
    import zarr

    try:
        about = dict(zarr.open_group(str(folder), mode="r").attrs)
    except Exception:  # noqa: BLE001 (whatever zarr makes of a damaged folder: the reader of images says what is wrong)
        return {}
    inner = about.get("ome", about)
    return inner if isinstance(inner, dict) else {}
