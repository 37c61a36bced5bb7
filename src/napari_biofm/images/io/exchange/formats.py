"""Masks and classes of cells from and to the formats of other programs; which one, the ending of the file says."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import DAMAGED, atomic_write, write_text
from napari_biofm.images.io.exchange.cellpose_npy import read_seg, write_seg
from napari_biofm.images.io.exchange.coco import read_coco, write_coco
from napari_biofm.images.io.exchange.polygons import Loop, filled, outlines
from napari_biofm.images.io.masks import as_labels, read_labels
from napari_biofm.types import ImageError, Labels

ROI_LARGEST, ROIS_LARGEST = 1 << 24, 1 << 29  # bytes of one outline and of all, unpacked
FORMATS = {
    "imagej": "ImageJ ROIs (.zip, .roi)",
    "geojson": "GeoJSON of QuPath (.geojson)",
    "coco": "COCO (.json)",
    "cellpose": "Cellpose (_seg.npy)",
    "mask": "label image (.tif, .png, .npy)",
}


@dataclass(frozen=True, eq=False)
class ReadCells:
    """Cells read from a file.

    Attributes
    ----------
    labels : (Y, X) or (Z, Y, X) integers.
    classes : class by label, where the file has one.
    notes : what a user should know, in words.
    """

    labels: Labels
    classes: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def format_of(path: Path) -> str:
    """Return the format that a file name stands for.

    Raises
    ------
    ImageError
        If it stands for none.
    """
    name = path.name.lower()
    if name.endswith("_seg.npy"):
        return "cellpose"
    by_ending = {
        ".zip": "imagej", ".roi": "imagej", ".geojson": "geojson", ".json": "coco", ".tif": "mask", ".tiff": "mask",
        ".png": "mask", ".npy": "mask", ".npz": "mask",
    }  # fmt: skip
    if path.suffix.lower() not in by_ending:
        raise ImageError(f"{path.name}: masks are read from and written to {', '.join(FORMATS.values())}.")
    return by_ending[path.suffix.lower()]


def read_cells(path: Path, shape: Sequence[int] | None = None) -> ReadCells:
    """Read masks, and classes where the file has them.

    Parameters
    ----------
    path : the file.
    shape : (Y, X) of the image, for formats that do not say it; else the outlines' own extent is taken.

    Raises
    ------
    ImageError
        If the file is damaged, of another kind, or does not fit the image.
    """
    readers: dict[str, Callable[[Path, tuple[int, int] | None], ReadCells]] = {
        "imagej": _read_rois,
        "geojson": _read_geojson,
        "coco": _read_coco,
    }
    kind = format_of(path)
    plane = None if shape is None else (int(shape[-2]), int(shape[-1]))
    if not path.is_file():
        raise ImageError(f"{path} does not exist.")
    if kind in readers:
        return readers[kind](path, plane)
    labels = _of_cellpose(path) if kind == "cellpose" else read_labels(path)
    if shape is not None and labels.shape != tuple(shape):
        raise ImageError(
            f"{path.name} has shape {labels.shape}, its image {tuple(shape)}; they must be equal."
        )
    return ReadCells(labels)


def write_cells(
    path: Path, labels: Labels, classes: Mapping[int, str] | None = None, image: str = ""
) -> tuple[str, ...]:
    """Write masks, with classes where the format has room for them, and return what a user should know.

    Parameters
    ----------
    path : its ending says the format.
    labels : (Y, X) integers; label images may have more axes.
    classes : class by label. image : name of the image.

    Raises
    ------
    ImageError
        If the format cannot hold these masks.
    """
    kind = format_of(path)
    if kind in ("mask", "cellpose"):
        _write_mask(path, labels) if kind == "mask" else write_seg(path, labels, image)
        return ("classes are not part of Cellpose's file",) if classes and kind == "cellpose" else ()
    if labels.ndim != 2:
        raise ImageError(f"{FORMATS[kind]} holds outlines of one plane, not labels of shape {labels.shape}.")
    named = dict(classes or {})
    if kind == "imagej":
        return _write_rois(path, labels, named)
    if kind == "geojson":
        write_text(path, json.dumps(_geojson(labels, named)))
        return ()
    write_text(path, json.dumps(write_coco(labels, named, image or path.stem)))
    return ()


def _of_cellpose(path: Path) -> Labels:
    masks = read_seg(path).get("masks")
    if not isinstance(masks, np.ndarray):
        raise ImageError(f"{path.name} holds no masks; save them in Cellpose first.")
    return as_labels(np.squeeze(masks), path.name)


# ------------------------------------------------------------------ label images


def _write_mask(path: Path, labels: Labels) -> None:
    highest = int(labels.max(initial=0))
    kind = np.dtype(np.uint16 if highest < 2**16 else np.uint32 if highest < 2**32 else np.int64)
    suffix = path.suffix.lower()
    if suffix == ".png" and (kind != np.uint16 or labels.ndim != 2):
        raise ImageError(f"{path.name}: a PNG holds one plane and ids up to 65535; write a TIFF.")
    with atomic_write(path) as part:
        if suffix == ".png":
            from imageio import v3 as iio

            iio.imwrite(part, labels.astype(kind))
        elif suffix in (".tif", ".tiff"):
            import tifffile

            tifffile.imwrite(part, labels.astype(kind), compression="zlib", photometric="minisblack")
        elif suffix == ".npz":
            np.savez_compressed(part, image=labels)
        else:
            np.save(part, labels)


def _painted(
    parts: Sequence[tuple[int, list[Loop]]], shape: tuple[int, int] | None, name: str
) -> tuple[Labels, tuple[str, ...]]:
    """Return a label image of outlines; where they overlap the later one stays below, and it is told."""
    if shape is None:
        tops = [loop.max(0) for _, loops in parts for loop in loops if len(loop)]
        size = np.ceil(np.max(tops, 0)).astype(np.int64) if tops else np.zeros(2, np.int64)
        shape = (int(max(size[0], 1)), int(max(size[1], 1)))
        if shape[0] * shape[1] > 1 << 31:
            raise ImageError(
                f"{name}: its outlines reach to {shape}, which is no image; give the image's shape."
            )
    labels = np.zeros(shape, np.int64)
    covered, lost = 0, 0
    for label, loops in parts:
        y, x = filled(loops, shape)
        free = labels[y, x] == 0
        covered += int((~free).sum())
        lost += not free.any()
        labels[y[free], x[free]] = label
    notes = []
    if covered:
        notes.append(f"{covered} pixels lie in two outlines; the one that comes first in the file has them")
    if lost:
        notes.append(f"{lost} outlines have no pixel of their own in an image of shape {shape}")
    return as_labels(labels), tuple(notes)


# ------------------------------------------------------------------ ImageJ


def _read_rois(path: Path, shape: tuple[int, int] | None) -> ReadCells:
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
    labels, notes = _painted(parts, shape, path.name)
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


def _write_rois(path: Path, labels: Labels, classes: Mapping[int, str]) -> tuple[str, ...]:
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


# ------------------------------------------------------------------ GeoJSON


def _geojson(labels: Labels, classes: Mapping[int, str]) -> dict[str, Any]:
    features = []
    for label, outer, holes in outlines(labels):
        polygons = [[_ring(loop), *(_ring(h) for h in holes if _inside(h, loop))] for loop in outer]
        geometry = (
            {"type": "Polygon", "coordinates": polygons[0]}
            if len(polygons) == 1
            else {"type": "MultiPolygon", "coordinates": polygons}
        )
        properties: dict[str, Any] = {
            "objectType": "annotation",
            "name": str(label),
            "measurements": {"label": label},
        }
        if label in classes:
            properties["classification"] = {"name": classes[label]}
        uid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{labels.shape}:{label}"))
        features.append({"type": "Feature", "id": uid, "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _ring(loop: Loop) -> list[list[float]]:
    points = loop[:, ::-1].tolist()
    return [*points, points[0]]


def _inside(hole: Loop, outer: Loop) -> bool:
    return bool((hole.min(0) >= outer.min(0)).all() and (hole.max(0) <= outer.max(0)).all())


def _read_geojson(path: Path, shape: tuple[int, int] | None) -> ReadCells:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        features = found.get("features", [found]) if isinstance(found, dict) else found
        parts: list[tuple[int, list[Loop]]] = []
        classes: dict[int, str] = {}
        left_out = 0
        for number, feature in enumerate(features, 1):
            geometry, about = feature["geometry"], feature.get("properties") or {}
            polygons = {
                "Polygon": [geometry.get("coordinates")],
                "MultiPolygon": geometry.get("coordinates"),
            }.get(geometry["type"])
            if polygons is None:
                left_out += 1
                continue
            loops = [np.asarray(ring, float)[:, 1::-1] for polygon in polygons for ring in polygon]
            if not all(np.isfinite(loop).all() for loop in loops):
                raise ValueError(f"feature {number} has coordinates that are no numbers")
            label = _label_of(about, number, {p[0] for p in parts}, len(features))
            parts.append((label, loops))
            named = (about.get("classification") or {}).get("name")
            if named:
                classes[label] = str(named)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        UnicodeDecodeError,
    ) as error:
        raise ImageError(f"{path.name} is no GeoJSON of outlines ({error}).") from error
    labels, notes = _painted(parts, shape, path.name)
    if left_out:
        notes = (*notes, f"{left_out} features that are no polygons were left out")
    return ReadCells(labels, classes, notes)


def _label_of(about: Mapping[str, Any], number: int, taken: set[int], n: int) -> int:
    measured = about.get("measurements")
    told = measured.get("label") if isinstance(measured, dict) else None
    told = about.get("name") if told is None else told
    text = str(told).removesuffix(".0")
    label = int(text) if text.isdigit() and 0 < int(text) < 2**62 else number
    while label in taken:
        label += n
    return label


# ------------------------------------------------------------------ COCO


def _read_coco(path: Path, shape: tuple[int, int] | None) -> ReadCells:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        size, parts, dense, classes, notes = read_coco(found, path.name)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        UnicodeDecodeError,
    ) as error:
        raise ImageError(f"{path.name} is no COCO file of one image ({error}).") from error
    if shape is not None and size is not None and size != shape:
        raise ImageError(f"{path.name} is of an image of shape {size}, not {shape}.")
    labels, told = _painted(parts, shape or size, path.name)
    for label, mask in dense.items():
        if mask.shape != labels.shape:
            raise ImageError(
                f"{path.name}: the mask of {label} has shape {mask.shape}, its image {labels.shape}."
            )
        labels[mask & (labels == 0)] = label
    return ReadCells(labels, classes, (*told, *notes))
