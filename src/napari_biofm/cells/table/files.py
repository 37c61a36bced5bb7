"""What the command line reads and writes for cells: images with masks, labels and predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import (
    CsvWriter,
    load_numpy,
    numpy_archive,
    opened_csv,
    plain_cell,
    read_cell,
    write_text,
)
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.io.masks import read_labels
from napari_biofm.images.io.names import MaskNames, is_mask_name, result_names, stem_of
from napari_biofm.images.io.tiff import opened_tiff
from napari_biofm.types import CellsError, Labels

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".npz")


@dataclass(frozen=True)
class LabelRow:
    """One line of a labels.csv."""

    object_id: str
    label: str
    group: str


def read_array(path: Path) -> NDArray[Any]:
    """Read an image or stack: TIFF, PNG, JPEG, `.npy`, or `.npz` with one array.

    Raises
    ------
    CellsError
        If the file is missing or cannot be read.
    """
    if not path.is_file():
        raise CellsError(f"{path} does not exist.")
    try:
        if path.suffix == ".npy":
            return load_numpy(path)
        if path.suffix == ".npz":
            with numpy_archive(path) as held:
                if len(held.files) != 1:
                    raise CellsError(f"{path} holds {len(held.files)} arrays; one is needed.")
                return np.asarray(held[held.files[0]])
        if path.suffix.lower() in (".tif", ".tiff"):
            with opened_tiff(path) as file:
                return np.asarray(file.asarray())
        import imageio.v3

        return np.asarray(imageio.v3.imread(path))
    except CellsError:
        raise
    except Exception as error:  # the readers raise many kinds
        raise CellsError(f"{path} cannot be read as an image ({error}).") from error


def read_label_rows(path: Path) -> list[LabelRow]:
    """Read `object_id,label[,group]`; rows without a label are skipped.

    Columns `image` and `object` may stand in place of object_id. In a table of cells of ours `label` is the cell, and
    its classes by hand are read from `class_by_hand`.

    Raises
    ------
    CellsError
        If columns are missing, an id occurs twice, or nothing is labelled.
    """
    if not path.is_file():
        raise CellsError(f"{path} does not exist.")
    with opened_csv(path, CellsError) as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        by_image = "object_id" not in columns and {"image", "object"} <= set(columns)
        if "label" not in columns or not ("object_id" in columns or by_image):
            raise CellsError(
                f"{path} needs the columns object_id and label (and may have group); it has: {columns}."
            )
        rows = []
        named = "class_by_hand" if "class_by_hand" in columns else "label"
        for row in reader:
            name = f"{row['image']}:{row['object']}" if by_image else row["object_id"]
            if (row[named] or "").strip():
                rows.append(
                    LabelRow(
                        read_cell((name or "").strip()),
                        read_cell(row[named].strip()),
                        read_cell((row.get("group") or "").strip()),
                    )
                )
    seen: set[str] = set()
    for a in rows:
        if a.object_id in seen:
            raise CellsError(f"{path}: object_id {a.object_id} occurs twice; keep one line for each cell.")
        seen.add(a.object_id)
    if not rows:
        raise CellsError(f"{path} holds no labelled cell.")
    return rows


def rows_of(labels: Sequence[LabelRow], ids: Sequence[str], source: object) -> NDArray[np.int64]:
    """Return where each labelled id stands among `ids`.

    Raises
    ------
    CellsError
        If some are not there; the message names the first.
    """
    at = {name: i for i, name in enumerate(ids)}
    unknown = [a.object_id for a in labels if a.object_id not in at]
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        known = f"{ids[0]} to {ids[-1]}" if ids else "none"
        raise CellsError(
            f"{len(unknown)} of {len(labels)} labelled ids are not in {source}: {shown} (known are {known}). "
            "Correct the ids or give the file they belong to; nothing was changed."
        )
    return np.asarray([at[a.object_id] for a in labels], np.int64)


def read_classes_by_label(path: Path) -> dict[int, str]:
    """Return class by label from `object_id,label`, the id being the label or `image:label`.

    Parameters
    ----------
    path : the CSV.
    """
    rows = [(row.object_id.rpartition(":")[2], row.label) for row in read_label_rows(path)]
    return {int(label): name for label, name in rows if label.isdigit()}


@dataclass(frozen=True)
class Field:
    """One image of a folder and its masks: `number` of `total`, counted from 1; `stem` is its name in ids."""

    stem: str
    image: NDArray[Any]
    masks: Labels
    number: int
    total: int


def read_fields(images: Path, masks: Path) -> Iterator[Field]:
    """Read the images of a folder with their masks, one after the other.

    Raises
    ------
    CellsError
        If a mask is missing or does not fit its image.
    """
    pairs = list(mask_pairs(images, masks))
    names = result_names(path for path, _ in pairs)
    for i, (image_path, mask_path) in enumerate(pairs):
        image, is_stack = read_stack(image_path)
        mask = read_labels(mask_path)
        if is_stack or mask.shape != image.shape[:2] or mask.ndim != 2:
            raise CellsError(
                f"{mask_path} has shape {mask.shape} and {image_path} {image.shape}; the mask must be (Y, X)."
            )
        yield Field(names[image_path], image, mask, i + 1, len(pairs))


def write_predictions(
    path: Path, ids: Iterable[str], labels: Iterable[str], probabilities: Iterable[float]
) -> None:
    """Write `object_id,label,probability`, as a whole or not at all."""
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(["object_id", "label", "probability"])
    for name, label, p in zip(ids, labels, probabilities, strict=True):
        writer.writerow([plain_cell(name), plain_cell(label), "" if not np.isfinite(p) else f"{p:.6f}"])
    write_text(path, out.getvalue())


def write_values(
    path: Path, ids: Sequence[str], targets: Sequence[str], values: NDArray[np.floating]
) -> None:
    """Write `object_id` and a column per target, as a whole or not at all."""
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(["object_id", *map(plain_cell, targets)])
    for name, row in zip(ids, values, strict=True):
        writer.writerow([plain_cell(name), *("" if not np.isfinite(v) else f"{v:.6g}" for v in row)])
    write_text(path, out.getvalue())


def mask_pairs(images: Path, masks: Path) -> Iterator[tuple[Path, Path]]:
    """Return the images of a folder, each with its masks."""
    for folder in (images, masks):
        if not folder.is_dir():
            raise CellsError(f"{folder} is not a folder.")
    paths = [
        p for p in sorted(images.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and not is_mask_name(p)
    ]
    names = MaskNames(masks, paths)
    for image in paths:
        mask = names.of(image)
        if mask is None:
            raise CellsError(
                f"No mask for {image.name} in {masks}; {stem_of(image)}_mask.tif was looked for."
            )
        yield image, mask
    if not paths:
        raise CellsError(f"No images in {images}; looked for {', '.join(IMAGE_SUFFIXES)}.")
