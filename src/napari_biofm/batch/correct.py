"""Masks of a run corrected by hand: what depends on them is done again, for that item only, and the tables follow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.batch.collect import items_of_run
from napari_biofm.batch.disk import told_of_disk
from napari_biofm.batch.folder_lock import FolderLock
from napari_biofm.batch.items import Item
from napari_biofm.batch.jobs import CORRECTED
from napari_biofm.batch.manifest import Manifest
from napari_biofm.batch.opened import OpenedField, OpenedRun, masks_of, read_field
from napari_biofm.batch.parameters import IMAGE, did_you_mean
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.result import BatchResult
from napari_biofm.batch.run import RECIPE, jobs_of, put_together
from napari_biofm.batch.work import threads_as_before, work_on
from napari_biofm.files import write_json
from napari_biofm.images.io.masks import write_mask
from napari_biofm.types import BatchError, Labels

ABOUT = ("model", "weights_sha256")  # of the masks that were corrected


def correct_masks(run: str | Path, item: str, masks: Labels | str | Path) -> BatchResult:
    """Put masks corrected by hand in the place of those of an item of a run, and do again what depends on them.

    The steps of the item run again on these masks, all but `segment`; other items are left alone. Tables, report and
    manifest follow, and the manifest says "corrected by hand". The masks lie in `corrected/` of the run and stay when it
    is resumed or begun anew; masks that the run was given are not touched.

    Parameters
    ----------
    run : folder of a finished run.
    item : key of the item, or the name of its file where no other has it.
    masks : (Y, X) or (Z, Y, X) labels of the shape of the former ones, or the path of a label image.

    Returns
    -------
    BatchResult
        Of the whole run.

    Raises
    ------
    BatchError
        If there is no such run or item, the shape is another one, a step fails on these masks (what was there stays), or
        another run works in the folder.
    """
    from napari_biofm.api.images import read_masks

    folder = Path(run).absolute()
    chosen = item_of(folder, item)
    labels = np.asarray(read_masks(masks) if isinstance(masks, str | Path) else masks)
    if labels.dtype.kind not in "iu":
        raise BatchError(f"masks are whole numbers, not {labels.dtype}.")
    field = next((one for one in OpenedRun.open(folder).fields if one.key == chosen.key), None)
    former = None if field is None else masks_of(field)
    if former is not None and former.shape != labels.shape:
        raise BatchError(
            f"{chosen.key}: its masks have shape {former.shape}, the corrected ones {labels.shape}."
        )

    def put(path: Path, row: Mapping[str, Any]) -> None:
        about = {name: row.get(name) for name in ABOUT if row.get(name)}
        write_json(path.with_suffix(".json"), {**about, "corrected_at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        write_mask(path, labels)

    return _again(folder, chosen, put)


def corrected_field(folder: Path, key: str, masks: Labels) -> tuple[OpenedField, BatchResult]:
    """Correct the masks of an item as `correct_masks` does, and return its field as it is now, too.

    Parameters
    ----------
    folder : of the run.
    key : of the item.
    masks : labels.
    """
    result = correct_masks(folder, key, masks)
    one = next(field for field in OpenedRun.open(folder).fields if field.key == key)
    return read_field(one, folder), result


def undo_correction(run: str | Path, item: str) -> BatchResult:
    """Take masks corrected by hand back: the item is done again as the recipe says.

    Parameters
    ----------
    run : folder of a finished run.
    item : key of the item, or the name of its file where no other has it.

    Raises
    ------
    BatchError
        If there is no such run or item, its masks were not corrected, or a step fails.
    """
    folder = Path(run).absolute()
    chosen = item_of(folder, item)
    if not (folder / CORRECTED / f"{chosen.key}.tif").is_file():
        raise BatchError(f"{chosen.key}: its masks were not corrected.")

    def remove(path: Path, _row: Mapping[str, Any]) -> None:
        path.unlink()
        path.with_suffix(".json").unlink(missing_ok=True)

    return _again(folder, chosen, remove)


def item_of(folder: Path, name: str) -> Item:
    """Return an image of a run by its key, or by the name of its file.

    Parameters
    ----------
    folder : of the run.
    name : key or file name, with or without its folders.

    Raises
    ------
    BatchError
        If there is none, or more than one.
    """
    items = [one for one in items_of_run(folder) if one.kind == IMAGE]
    found = [one for one in items if one.key == name] or [
        one for one in items if name in (one.path.name, str(one.path))
    ]
    if len(found) > 1:
        raise BatchError(
            f"{len(found)} items are called {name}; give a key: {', '.join(i.key for i in found[:3])}."
        )
    if not found:
        near = did_you_mean(name, [one.path.name for one in items]).split(" There are")[0]
        raise BatchError(f"{folder}: no image of this run is called {name!r}{near}")
    return found[0]


def _again(folder: Path, item: Item, change: Callable[[Path, Mapping[str, Any]], None]) -> BatchResult:
    """Change the corrected masks of an item and do it again; what was there comes back where that fails."""
    started = time.perf_counter()
    recipe = Recipe.read(folder / RECIPE)
    path = folder / CORRECTED / f"{item.key}.tif"
    with told_of_disk(folder), FolderLock(folder):
        manifest = Manifest(folder)
        rows = manifest.rows()
        before = {one: one.read_bytes() for one in (path, path.with_suffix(".json")) if one.is_file()}
        try:
            change(path, rows.of(item.key) or {})
            items = items_of_run(folder)
            job = next(one for one in jobs_of(recipe, items, folder) if one.item.key == item.key)
            with threads_as_before():
                row = work_on(job)
            if row["state"] != "done":
                raise BatchError(str(row["error"]))
        except BaseException:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
            for one, data in before.items():
                one.write_bytes(data)
            raise
        manifest.record(row, __version__)
        manifest.flush()
        where = f"{item.path.name} again in this process"
        return put_together(recipe, folder, items, manifest, len(rows) - 1, where, started)


def corrected_items(run: str | Path) -> dict[str, dict[str, Any]]:
    """Return what is known of each item whose masks were corrected by hand, by key.

    Parameters
    ----------
    run : folder of a run.
    """
    found = {}
    for path in sorted((Path(run) / CORRECTED).glob("*.tif")):
        try:
            found[path.stem] = dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            found[path.stem] = {}
    return found
