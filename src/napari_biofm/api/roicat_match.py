"""Cells of two sessions paired by ROICaT, where it is installed, through its public pipeline.

github.com/RichieHakim/ROICaT. Nothing of the package is imported before it is used. It fetches its network (ROInet) by itself.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.matching import CellMatch
from napari_biofm.types import CellsError

INSTALL = "pip install 'roicat[core]'"
_ROI_PX = (36, 36)  # of the pictures that its network takes


def match_with_roicat(
    first: NDArray[np.integer], second: NDArray[np.integer], um_per_pixel: float = 1.0
) -> CellMatch:
    """Pair the cells of two sessions with ROICaT's tracking pipeline.

    Parameters
    ----------
    first, second : (Y, X) labels, 0 is background; they may differ in size.
    um_per_pixel : side of a pixel, um; the network looks at cells in this scale.

    Returns
    -------
    CellMatch
        `overlap` and `distance` after ROICaT laid the fields over each other; `score` is the overlap, `margin` NaN, as ROICaT
        gives clusters; `transform` holds the median shift of its alignment, which may bend the field beside that.

    Raises
    ------
    CellsError
        If it is not installed (with how to install it) or fails, or a session has no cell.
    """
    if importlib.util.find_spec("roicat") is None:
        raise CellsError(f"ROICaT is not installed here: {INSTALL}")
    shape = np.maximum(first.shape, second.shape)
    padded = [
        np.pad(one, [(0, int(n - m)) for n, m in zip(shape, one.shape, strict=True)])
        for one in (first, second)
    ]
    ids = [np.unique(one[one > 0]).astype(np.int64) for one in padded]
    for name, mine in zip(("first", "second"), ids, strict=True):
        if not len(mine):
            raise CellsError(f"the {name} session has no cell")
    footprints = [_footprints(one, mine) for one, mine in zip(padded, ids, strict=True)]
    labels, aligned = _tracked(footprints, padded, um_per_pixel)
    partner = {int(cluster): j for j, cluster in enumerate(labels[1]) if cluster >= 0}
    pairs = [(i, partner[int(c)]) for i, c in enumerate(labels[0]) if c >= 0 and int(c) in partner]
    overlap, distance = np.zeros(len(pairs)), np.zeros(len(pairs))
    width = int(shape[1])
    after = [_centres(one, width) for one in aligned]
    for k, (i, j) in enumerate(pairs):
        a, b = (aligned[s][[row]].toarray().ravel() > 0 for s, row in ((0, i), (1, j)))
        overlap[k] = (a & b).sum() / max(int((a | b).sum()), 1)
        distance[k] = float(np.hypot(*(after[0][i] - after[1][j])))
    moved = [
        np.nanmedian(now - _centres(was, width), axis=0) for now, was in zip(after, footprints, strict=True)
    ]
    one, other = (np.array([p[k] for p in pairs], np.int64) for k in (0, 1))
    return CellMatch(
        ids[0][one], ids[1][other], overlap, distance, overlap.copy(), np.full(len(pairs), np.nan),
        np.setdiff1d(ids[0], ids[0][one]), np.setdiff1d(ids[1], ids[1][other]),
        np.column_stack([np.eye(2), moved[1] - moved[0]]),
    )  # fmt: skip


def _footprints(masks: NDArray[np.integer], ids: NDArray[np.int64]) -> Any:
    """Return (n, Y * X) sparse footprints of the cells of (Y, X) labels, rows in the order of `ids`."""
    from scipy import sparse

    flat = masks.ravel()
    at = np.flatnonzero(flat)
    rows = np.searchsorted(ids, flat[at])
    return sparse.csr_array((np.ones(len(at), np.float32), (rows, at)), shape=(len(ids), flat.size))


def _centres(footprints: Any, width: int) -> NDArray[np.float64]:
    """Return (n, 2) y and x of the centre of each footprint; NaN where it is empty."""
    pixels = np.arange(footprints.shape[1])
    total = np.asarray(footprints.sum(axis=1), np.float64).ravel()
    weighted = np.stack([np.asarray(footprints @ part).ravel() for part in np.divmod(pixels, width)], axis=1)
    return np.divide(weighted, total[:, None], out=np.full(weighted.shape, np.nan), where=total[:, None] > 0)


def _tracked(
    footprints: Sequence[Any], masks: Sequence[NDArray[np.integer]], um_per_pixel: float
) -> tuple[list[NDArray[np.int64]], list[Any]]:
    """Return the cluster of each cell of both sessions, -1 for none, and the aligned footprints."""
    try:
        package: Any = importlib.import_module("roicat")
        with contextlib.redirect_stdout(sys.stderr):  # it tells much, and our stdout is for results
            data = package.data_importing.Data_roicat(verbose=False)
            data.set_spatialFootprints(list(footprints), um_per_pixel=um_per_pixel)
            data.set_FOV_images([(one > 0).astype(np.float32) for one in masks])
            data.transform_spatialFootprints_to_ROIImages(out_height_width=_ROI_PX)
            given = {"general": {"use_GPU": False, "verbose": False, "random_seed": 0}}
            results, _, _ = package.pipelines.pipeline_tracking(given, custom_data=data)
        found = [np.asarray(one, np.int64) for one in results["clusters"]["labels_bySession"]]
        return found, list(results["ROIs"]["ROIs_aligned"])
    except Exception as error:  # it raises whatever its packages raise
        raise CellsError(f"ROICaT failed: {' '.join(str(error).split()) or type(error).__name__}") from error
