"""What results of images are called, and where masks of an image are looked for: one rule for verbs and docks.

A result is called like its image without the ending, and what it is: `field_mask.tif`. Where two images of one call
or folder would get one name (`a.png` and `a.tif`), they keep their endings: `a.png_mask.tif`, `a.tif_mask.tif`.
Names are compared without regard to case, because many disks do not tell `A` from `a`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_biofm.images.io.plates import in_zarr
from napari_biofm.types import ImageError

DOUBLE_ENDINGS = (".ome.tiff", ".ome.tif", ".ome.btf", ".ome.tf2", ".ome.zarr", ".nii.gz")
MASK_ENDINGS = ("_labels", "_mask", "_masks", "_cp_masks")  # of files that hold masks, corrected ones first
SERIES, REPORT = "series.json", "report.json"  # which say whose results the files beside them are
LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".npz")  # formats that masks are stored in


def stem_of(path: Path) -> str:
    """Return the file name without its ending; `.ome.tif` and the like count as one ending."""
    plate = in_zarr(path)
    if plate is not None:  # a field of a plate: `plate_A_1_0`
        return "_".join([stem_of(plate), *path.relative_to(plate).parts])
    name = path.name
    for ending in DOUBLE_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return path.stem


def image_id(path: Path) -> str:
    """Return what an image is called in accounts of results: its file name, of a plate's field with the plate's."""
    plate = in_zarr(path)
    return path.name if plate is None else "/".join([plate.name, *path.relative_to(plate).parts])


def is_mask_name(path: Path) -> bool:
    """Tell whether a file is called like masks, so that it is no image of its own."""
    return stem_of(path).lower().endswith((*MASK_ENDINGS, "_clicks", "_seg"))


def result_names(paths: Iterable[Path], taken: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Return what results of each image are called, before `_mask` and the like; no two alike.

    Parameters
    ----------
    paths : the images of one call or folder.
    taken : names that were given before, and the file name of the image each belongs to.

    Raises
    ------
    ImageError
        If two files of one name would share a result; they have to go into different folders.
    """
    images = list(dict.fromkeys(paths))
    owner = {name.casefold(): image for name, image in (taken or {}).items()}
    former = {image: name for name, image in (taken or {}).items()}
    names = {path: former.get(image_id(path), stem_of(path)) for path in images}
    for _ in range(2):  # a whole file name may be the stem of a third image
        often = Counter(name.casefold() for name in names.values())
        for path, name in names.items():
            alone = often[name.casefold()] == 1 and owner.get(name.casefold(), image_id(path)) == image_id(
                path
            )
            if image_id(path) not in former and not alone:
                names[path] = image_id(path).replace("/", "_")
    _refuse_equal(names, owner)
    return names


def _refuse_equal(names: Mapping[Path, str], owner: Mapping[str, str]) -> None:
    seen: dict[str, Path] = {}
    for path, name in names.items():
        other = seen.setdefault(name.casefold(), path)
        if other != path:
            raise ImageError(
                f"{other} and {path} would both be written as {name}_...; run them into different folders."
            )
        if owner.get(name.casefold(), image_id(path)) != image_id(path):
            raise ImageError(
                f"The results of {path} would be called {name}_..., like those of {owner[name.casefold()]}; "
                "give another folder."
            )


def kept_names(folder: Path) -> dict[str, str]:
    """Return the file of masks of each image that a folder of results knows of, by the image's file name.

    `report.json` of `segment` and `series.json` of a series say so; what cannot be read there is left out.
    """
    found: dict[str, str] = {}
    report, series = _json(folder / REPORT), _json(folder / SERIES)
    rows, names = report.get("images"), series.get("names")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("mask"), str):
            found[str(row.get("image"))] = Path(row["mask"]).name
    for name, image in names.items() if isinstance(names, dict) else ():
        found[str(image)] = f"{Path(str(name)).name}_labels.tif"
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class MaskNames:
    """The files of masks of a folder, looked through once for all of its images.

    What the folder itself says (`kept_names`) comes first, then files called after the whole file name (`a.png_mask.tif`),
    then those called after its stem. A file called like the image itself counts in another folder only: beside it, it is
    another picture.

    Parameters
    ----------
    folder : where masks lie.
    images : all images of the folder, to see whether a stem belongs to more than one of them.
    endings : what masks are called.
    """

    def __init__(self, folder: Path, images: Iterable[Path], endings: Iterable[str] = MASK_ENDINGS) -> None:
        self._folder, self._resolved, self._endings = folder, folder.resolve(), tuple(endings)
        self._kept = kept_names(folder)
        self._files = {os.path.normcase(one.name) for one in os.scandir(folder) if one.is_file()}
        self._twins: dict[str, list[str]] = {}  # names of images that share a stem
        first: dict[str, str] = {}
        for one in images:
            stem = stem_of(one).casefold()
            if stem in first:
                self._twins.setdefault(stem, [first[stem]]).append(one.name)
            first.setdefault(stem, one.name)

    def of(self, image: Path) -> Path | None:
        """Return the file that holds the masks of one of the images; None where there is none.

        Raises
        ------
        ImageError
            If masks called after the stem might belong to two images.
        """
        kept = self._kept.get(image.name)
        if kept is not None and (self._folder / kept).is_file():
            return self._folder / kept
        plain = [] if self._resolved == image.parent.resolve() else [""]
        twins = self._twins.get(stem_of(image).casefold(), [])
        for base in dict.fromkeys((image.name, stem_of(image))):
            for ending in (*self._endings, *plain):
                for suffix in LABEL_SUFFIXES:
                    path = self._folder / f"{base}{ending}{suffix}"
                    if os.path.normcase(path.name) not in self._files or path == image:
                        continue
                    if base != image.name and len(twins) > 1:
                        raise ImageError(
                            f"{path.name} may hold the masks of {' or of '.join(twins)}; call it "
                            f"{image.name}{ending or '_mask'}{suffix}."
                        )
                    return path
        return None
