"""Masks and classes of cells from and to the formats of other programs; which one, the ending of the file says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_biofm.files import atomic_write, write_text
from napari_biofm.images.io.exchange.cellpose_npy import read_seg, write_seg
from napari_biofm.images.io.exchange.coco import read_coco, write_coco
from napari_biofm.images.io.exchange.geojson import geojson_of, read_geojson
from napari_biofm.images.io.exchange.imagej import read_rois, write_rois
from napari_biofm.images.io.exchange.painted import MALFORMED, ReadCells, painted
from napari_biofm.images.io.masks import as_labels, read_labels
from napari_biofm.types import ImageError, Labels

FORMATS = {
    "imagej": "ImageJ ROIs (.zip, .roi)",
    "geojson": "GeoJSON of QuPath (.geojson)",
    "coco": "COCO (.json)",
    "cellpose": "Cellpose (_seg.npy)",
    "mask": "label image (.tif, .png, .npy)",
}


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
        "imagej": read_rois,
        "geojson": read_geojson,
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
        return write_rois(path, labels, named)
    if kind == "geojson":
        write_text(path, json.dumps(geojson_of(labels, named)))
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


# ------------------------------------------------------------------ COCO


def _read_coco(path: Path, shape: tuple[int, int] | None) -> ReadCells:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        size, parts, dense, classes, notes = read_coco(found, path.name)
    except MALFORMED as error:
        raise ImageError(f"{path.name} is no COCO file of one image ({error}).") from error
    if shape is not None and size is not None and size != shape:
        raise ImageError(f"{path.name} is of an image of shape {size}, not {shape}.")
    labels, told = painted(parts, shape or size, path.name)
    for label, mask in dense.items():
        if mask.shape != labels.shape:
            raise ImageError(
                f"{path.name}: the mask of {label} has shape {mask.shape}, its image {labels.shape}."
            )
        labels[mask & (labels == 0)] = label
    return ReadCells(labels, classes, (*told, *notes))
