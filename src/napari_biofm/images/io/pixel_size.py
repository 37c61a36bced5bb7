"""How large a pixel is, where a file says so: OME-TIFF, ImageJ, OME-Zarr."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_biofm.images.io.plates import in_zarr
from napari_biofm.images.io.tiff import TIFF_ENDINGS, opened_tiff
from napari_biofm.types import BiofmError

MICROMETRES = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "mm": 1e3, "millimeter": 1e3,
    "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "meter": 1e6, "å": 1e-4, "angstrom": 1e-4,
}  # fmt: skip


def micrometres(value: float, unit: str) -> float | None:
    """Return a length in micrometres; None where the unit is no length or the value no size."""
    factor = MICROMETRES.get(unit.strip().lower())
    return value * factor if factor is not None and value > 0 else None


def size_along(axes: str, sizes: Sequence[float], units: Sequence[str]) -> tuple[float, ...] | None:
    """Return micrometres along some axes of what has a step and a unit for each; None unless all are lengths.

    Parameters
    ----------
    axes : only their number counts. sizes, units : of the last so many axes.
    """
    n = len(axes)
    found = [micrometres(float(s), str(u)) for s, u in zip(list(sizes)[-n:], list(units)[-n:], strict=True)]
    return None if len(found) < n or None in found else tuple(float(s) for s in found if s is not None)


def pixel_size_um(path: Path, n_axes: int) -> tuple[float, ...] | None:
    """Return micrometres along (Z, Y, X) or (Y, X), None where the file does not say.

    Parameters
    ----------
    path : image file or zarr folder.
    n_axes : 2 or 3.
    """
    by_axis: Mapping[str, float] = {}
    try:
        if path.suffix.lower() in TIFF_ENDINGS and path.is_file():
            by_axis = _of_tiff(path)
        elif path.suffix.lower() == ".zarr" or in_zarr(path) is not None:
            by_axis = _of_zarr(path)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, BiofmError):
        return None  # damaged metadata say nothing
    wanted = "ZYX"[-n_axes:]
    return tuple(by_axis[a] for a in wanted) if set(wanted) <= set(by_axis) else None


def _of_tiff(path: Path) -> dict[str, float]:
    with opened_tiff(path) as file:
        if file.is_ome and file.ome_metadata:
            return _of_ome(file.ome_metadata)
        about = file.imagej_metadata or {}
        if not file.is_imagej:
            return {}
        unit = str(about.get("unit", ""))
        found: dict[str, float] = {}
        tags: Any = file.pages.first.tags
        for axis, tag in (("X", "XResolution"), ("Y", "YResolution")):
            if tag in tags:
                above, below = tags[tag].value
                size = micrometres(below / above, unit) if above else None
                found |= {axis: size} if size else {}
        depth = micrometres(float(about.get("spacing", 0) or 0), unit)
        return found | ({"Z": depth} if depth else {})


def _of_ome(xml: str) -> dict[str, float]:
    tag = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    found: dict[str, float] = {}
    for axis in "XYZ" if tag else "":
        value = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', tag.group(0)) if tag else None
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]+)"', tag.group(0)) if tag else None
        size = micrometres(float(value.group(1)), unit.group(1) if unit else "µm") if value else None
        found |= {axis: size} if size else {}
    return found


def _of_zarr(path: Path) -> dict[str, float]:
    import zarr

    node = zarr.open(str(path), mode="r")
    about: Any = dict(node.attrs)
    about = about.get("ome", about)
    scales = about["multiscales"][0]
    steps = next(
        t["scale"] for t in scales["datasets"][0]["coordinateTransformations"] if t.get("type") == "scale"
    )
    found: dict[str, float] = {}
    for axis, step in zip(scales["axes"], steps, strict=True):
        size = micrometres(float(step), str(axis.get("unit", "")))
        found |= {str(axis["name"]).upper(): size} if size else {}
    return found
