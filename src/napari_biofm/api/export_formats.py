"""Masks and tables of cells as outlines, tables and NWB, each into one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.images.io.exchange.formats import write_cells
from napari_biofm.types import ImageError, Labels

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.signals.nwb_about import NwbAbout


def write_table(rows: Any, path: Path) -> None:
    """Write a table of cells, by the ending of its name.

    Parameters
    ----------
    rows : AnnData.
    path : ending in .csv, .parquet or .h5ad.
    """
    from napari_biofm.cells.table.export import write_csv, write_h5ad

    if path.suffix == ".h5ad":
        write_h5ad(rows, path)
    elif path.suffix == ".csv":
        write_csv(rows, path)
    else:
        with atomic_write(path) as part:
            rows.obs.to_parquet(part, index=False)


def write_outlines(
    path: Path, labels: Labels, classes: Mapping[int, str], image: str, plane: int | None
) -> Sequence[str]:
    """Write masks as outlines; of a stack one plane, unless the format holds them all.

    Parameters
    ----------
    path : its ending says the format.
    labels : (Y, X) or (Z, Y, X).
    classes : class by label.
    image : path or name that formats tell.
    plane : of a stack, counted from 0.

    Raises
    ------
    ImageError
        If the masks are a stack, the format holds one plane, and `plane` is none of it.
    """
    if labels.ndim > 2 and not path.name.endswith("_seg.npy"):
        if plane is None:
            raise ImageError(
                f"{path.name}: the masks are a stack of {labels.shape[0]}, the format holds one plane; give --plane N."
            )
        if not 0 <= plane < labels.shape[0]:
            raise ImageError(f"{path.name}: there is no plane {plane}; there are 0 to {labels.shape[0] - 1}.")
        labels = np.asarray(labels[plane])
    return write_cells(path, labels, classes, image)


def with_classes(table: AnnData, classes: Mapping[int, str]) -> AnnData:
    """Return a table of cells with the column `class`, where classes are known.

    Parameters
    ----------
    table : with the column `label`.
    classes : class by label.
    """
    if classes:
        table.obs["class"] = [classes.get(int(label), "") for label in table.obs["label"]]
    return table


def write_masks_as_nwb(
    path: Path, labels: Labels, name: str, source: Path, about: NwbAbout | None = None, **more: Any
) -> None:
    """Write masks of one plane as NWB.

    Parameters
    ----------
    path : of the file.
    labels : (Y, X).
    name : of the masks.
    source : where they are.
    about : the experiment and the animal, where they are known.
    **more : what else `session.snapshot.Saved` holds: recordings, events.

    Raises
    ------
    ImageError
        If they are not of one plane.
    """
    from napari_biofm.session.nwb import write_nwb
    from napari_biofm.session.snapshot import Saved, SavedLayer

    if labels.ndim != 2:
        raise ImageError(f"{path.name}: NWB takes masks of one plane, not of shape {labels.shape}.")
    masks = np.asarray(labels, np.int32)
    layer = SavedLayer("masks", "labels", name, str(source), masks, shape=labels.shape)
    write_nwb(path, Saved(layers=(layer,), labels="masks", **more), about=about)
