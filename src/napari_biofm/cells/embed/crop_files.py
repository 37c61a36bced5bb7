"""Crops of single cells from files: a stack, or cut from images and their masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.embed.crops import check_crops, cut_crops
from napari_biofm.cells.table.files import read_array, read_fields
from napari_biofm.types import CellsError, Progress, Task


@dataclass(frozen=True)
class CropSet:
    """Crops and their ids.

    Attributes
    ----------
    ids : "0", "1", .. in a stack; "stem:label" where they were cut from images.
    crops : (N, Y, X[, C]). groups : the image of each crop, "" in a stack.
    """

    ids: list[str]
    crops: NDArray[Any]
    groups: list[str]


def load_crops(crops: Path | None, images: Path | None, masks: Path | None) -> Task[CropSet]:
    """Read a stack of crops, or cut a crop around every cell of a folder of images and masks."""
    if crops is not None:
        stack = read_array(crops)
        check_crops(stack[:1])
        yield Progress(1, 1, f"read {len(stack)} crops")
        return CropSet([str(i) for i in range(len(stack))], stack, [""] * len(stack))
    if images is None or masks is None:
        raise CellsError("Give either crops, or a folder of images and a folder of masks.")
    ids: list[str] = []
    groups: list[str] = []
    parts = []
    for field in read_fields(images, masks):
        values = np.unique(field.masks)
        values = values[values > 0]
        ids += [f"{field.stem}:{value}" for value in values]
        groups += [field.stem] * len(values)
        parts.append(cut_crops(field.image, field.masks))
        yield Progress(field.number, field.total, f"cut {len(values)} cells from {field.stem}")
    shapes = {part.shape[1:] for part in parts if len(part)}
    if len(shapes) > 1:
        raise CellsError(f"The images in {images} differ in channels; give images of one kind.")
    filled = [part for part in parts if len(part)]
    return CropSet(ids, np.concatenate(filled) if filled else np.zeros((0, 64, 64), np.float32), groups)
