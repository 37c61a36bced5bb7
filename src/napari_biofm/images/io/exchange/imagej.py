"""Masks from and to outlines of ImageJ (.roi, .zip)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import DAMAGED, atomic_write
from napari_biofm.images.io.exchange.painted import ReadCells, painted
from napari_biofm.images.io.exchange.polygons import Loop, outlines
from napari_biofm.types import ImageError, Labels

ROI_LARGEST = 1 << 24  # bytes of one outline, unpacked
ROIS_LARGEST = 1 << 29  # of all outlines of a file


def read_rois(path: Path, shape: tuple[int, int] | None) -> ReadCells:
    """Read ROIs as masks, (Y, X) of `shape`; ImageError where the file holds none that can be read."""
    import roifile

    try:
        rois = [roifile.ImagejRoi.frombytes(raw) for raw in _roi_bytes(path)]
    except (ValueError, OSError, KeyError, IndexError, TypeError, *DAMAGED) as error:
        raise ImageError(f"{path.name} holds no ImageJ ROIs that can be read ({error}).") from error
    parts: list[tuple[int, list[Loop]]] = []
    left_out = 0
    taken: dict[int, int] = {}
    for number, roi in enumerate(rois, 1):
        loops = [np.asarray(loop, float)[:, ::-1] for loop in _loops_of(roi)]
        if not loops:
            left_out += 1
            continue
        name = str(roi.name or "").split("-")[0]
        label = int(name) if name.isdigit() and 0 < int(name) < 2**62 else number
        if label in taken and str(roi.name or "").count("-"):
            parts[taken[label]][1].extend(loops)
            continue
        while label in taken:
            label += len(rois)
        taken[label] = len(parts)
        parts.append((label, loops))
    labels, notes = painted(parts, shape, path.name)
    if left_out:
        notes = (*notes, f"{left_out} ROIs that are lines, points or text were left out")
    return ReadCells(labels, {}, notes)


def _roi_bytes(path: Path) -> list[bytes]:
    if path.suffix.lower() == ".roi":
        if path.stat().st_size > ROI_LARGEST:
            raise ImageError(f"{path.name} is too large for one outline.")
        return [path.read_bytes()]
    found, total = [], 0
    with zipfile.ZipFile(path) as held:
        for entry in held.infolist():
            if not entry.filename.lower().endswith(".roi"):
                continue
            total += entry.file_size
            if entry.file_size > ROI_LARGEST or total > ROIS_LARGEST:
                raise ImageError(
                    f"{path.name}: '{entry.filename}' unpacks to more than outlines need; it was not read."
                )
            with held.open(entry) as part:
                found.append(part.read(ROI_LARGEST + 1))
    if not found:
        raise ImageError(f"{path.name} holds no ImageJ ROI.")
    return found


def _loops_of(roi: Any) -> list[NDArray[Any]]:
    """Return the closed outlines of a ROI, x and y; [] for lines, points and text."""
    import roifile

    kinds = roifile.ROI_TYPE
    if roi.roitype == kinds.OVAL:
        y = (roi.top + roi.bottom) / 2 + (roi.bottom - roi.top) / 2 * np.sin(
            np.linspace(0, 2 * np.pi, 128, endpoint=False)
        )
        x = (roi.left + roi.right) / 2 + (roi.right - roi.left) / 2 * np.cos(
            np.linspace(0, 2 * np.pi, 128, endpoint=False)
        )
        return [np.stack([x, y], 1)]
    if roi.roitype == kinds.RECT and not roi.composite:
        corners = [(roi.left, roi.top), (roi.right, roi.top), (roi.right, roi.bottom), (roi.left, roi.bottom)]
        return [np.asarray(corners, float)]
    if roi.composite:
        return [np.asarray(loop, float) for loop in roi.coordinates(multi=True)]
    if roi.roitype in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED):
        return [np.asarray(roi.coordinates(), float)]
    return []


def write_rois(path: Path, labels: Labels, classes: Mapping[int, str]) -> tuple[str, ...]:
    """Write masks (Y, X) as a .zip of ROIs, and return what they could not hold."""
    import roifile

    if path.suffix.lower() != ".zip":
        raise ImageError(f"{path.name}: the outlines of all cells are written as one .zip.")
    holes_lost = 0
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, outer, holes in outlines(labels):
            holes_lost += bool(holes)
            for i, loop in enumerate(outer):
                name = f"{label:04d}" + (f"-{i + 1}" if i else "")
                roi = roifile.ImagejRoi.frompoints(loop[:, ::-1].astype(np.int32), name=name)
                roi.roitype = roifile.ROI_TYPE.TRACED
                archive.writestr(f"{name}.roi", roi.tobytes())
    with atomic_write(path) as part:
        part.write_bytes(out.getvalue())
    notes = [f"{holes_lost} cells have holes, which ImageJ's outlines do not show"] if holes_lost else []
    if classes:
        notes.append("classes are not part of ImageJ's ROIs; write GeoJSON or COCO to keep them")
    return tuple(notes)
