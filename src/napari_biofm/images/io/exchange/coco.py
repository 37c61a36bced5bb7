"""Instance masks as COCO writes them: polygons, and run lengths where a cell has holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.exchange.polygons import Loop, outlines
from napari_biofm.types import ImageError, Labels

_LARGEST = 1 << 31  # pixels of an image


def write_coco(labels: Labels, classes: Mapping[int, str], image: str) -> dict[str, Any]:
    """Return the masks of one plane (Y, X); ids of annotations are labels, categories are classes."""
    names = list(dict.fromkeys(classes.values())) or ["cell"]
    category = {name: i for i, name in enumerate(names, 1)}
    height, width = labels.shape
    annotations = []
    for label, outer, holes in outlines(labels):
        y0, x0 = np.min([loop.min(0) for loop in outer], 0)
        y1, x1 = np.max([loop.max(0) for loop in outer], 0)
        window = labels[int(y0) : int(y1), int(x0) : int(x1)] == label
        segmentation: Any = [loop[:, ::-1].ravel().tolist() for loop in outer]
        if holes:
            mask = np.zeros(labels.shape, bool)
            mask[int(y0) : int(y1), int(x0) : int(x1)] = window
            segmentation = {"size": [height, width], "counts": _runs(mask)}
        annotations.append(
            {
                "id": label,
                "image_id": 1,
                "category_id": category.get(classes.get(label, names[0]), 1),
                "segmentation": segmentation,
                "area": int(window.sum()),
                "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                "iscrowd": int(bool(holes)),
            }
        )
        if classes and label not in classes:
            annotations[-1]["category_id"] = len(names) + 1
    if classes and any(a["category_id"] > len(names) for a in annotations):
        category["unclassified"] = len(names) + 1
    return {
        "images": [{"id": 1, "file_name": image, "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in category.items()],
    }


Read = tuple[
    tuple[int, int] | None,
    list[tuple[int, list[Loop]]],
    dict[int, NDArray[np.bool_]],
    dict[int, str],
    tuple[str, ...],
]


def read_coco(found: Mapping[str, Any], name: str) -> Read:
    """Return size of the image, outlines, masks of run lengths, classes by label, and notes.

    Raises
    ------
    ImageError
        If there are several images.
    """
    images = found.get("images") or []
    used = {a["image_id"] for a in found["annotations"]}
    if len(used) > 1:
        raise ImageError(f"{name} has cells of {len(used)} images; write one file per image.")
    about = next((one for one in images if one["id"] in used), images[0] if images else {})
    size = (int(about["height"]), int(about["width"])) if "height" in about else None
    if size is not None and not 0 < size[0] * size[1] <= _LARGEST:
        raise ImageError(f"{name} tells of an image of shape {size}; that is none.")
    names = {one["id"]: str(one["name"]) for one in found.get("categories") or []}
    parts: list[tuple[int, list[Loop]]] = []
    dense: dict[int, NDArray[np.bool_]] = {}
    classes: dict[int, str] = {}
    taken: set[int] = set()
    for number, one in enumerate(found["annotations"], 1):
        label = int(one.get("id", number))
        label = label if 0 < label < 2**62 and label not in taken else max(taken, default=0) + 1
        taken.add(label)
        shape = one["segmentation"]
        if isinstance(shape, dict):
            dense[label] = _mask(shape, size)
        else:
            parts.append((label, [np.asarray(flat, float).reshape(-1, 2)[:, ::-1] for flat in shape]))
        if one.get("category_id") in names:
            classes[label] = names[one["category_id"]]
    if len(set(names.values())) < 2:
        classes = {}  # one category says nothing
    return size, parts, dense, {k: v for k, v in classes.items() if v != "unclassified"}, ()


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def _mask(shape: Mapping[str, Any], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    height, width = (int(n) for n in shape["size"])
    if not 0 < height * width <= _LARGEST or (size is not None and (height, width) != size):
        raise ImageError(f"A mask of size {(height, width)} does not fit its image {size}.")
    counts = shape["counts"]
    runs = _unpacked(counts) if isinstance(counts, str) else [int(n) for n in counts]
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ImageError(f"The run lengths of a mask add up to {sum(runs)}, not to {height * width}.")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def _unpacked(text: str) -> list[int]:
    """Return run lengths from COCO's packed text: groups of five bits, differences from the run two before."""
    counts: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at, shift = at + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
