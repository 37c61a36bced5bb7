"""Which cells of two sessions are the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.api.images import read_masks
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.curation import choose_cells
from napari_biofm.signals.readers import find_format
from napari_biofm.types import CellsError, Labels

if TYPE_CHECKING:
    from napari_biofm.cells.matching import CellMatch


MASKS_INSIDE = ("suite2p", "NWB", "HDF5")  # formats of results that hold the masks of their cells
Cells = Labels | Recording | str | Path


def match_cells(
    first: Cells,
    second: Cells,
    *,
    most_px: float = 8.0,
    least_score: float = 0.3,
    rejected: bool = False,
    program: str = "",
    um_per_pixel: float = 1.0,
) -> CellMatch:
    """Pair the cells of two sessions of one field: by overlap and shape after the fields are laid over each other.

    Parameters
    ----------
    first, second : (Y, X) labels, the path of a label image, or traces of cells that know their masks: a recording, or
        the path of results of suite2p, CaImAn or NWB.
    most_px : centres of a pair lie at most so far from each other after laying over, pixels.
    least_score : 0 to 1; pairs with a lower score are none.
    rejected : whether cells that traces say are rejected are paired, too.
    program : "roicat" pairs with ROICaT where it is installed; then `most_px` and `least_score` are not used.
    um_per_pixel : side of a pixel, um, for ROICaT.

    Returns
    -------
    CellMatch
        Pairs `first`, `second` with `overlap`, `distance`, `score` and `margin` (near 0: ambiguous), the cells that are
        alone, and the transformation; `relabelled` gives the second session the ids of the first.

    Raises
    ------
    CellsError
        If a session has no cell, traces do not know their masks, or the program is not installed or fails.
    """
    from napari_biofm.cells.matching import match_cells as match

    if program not in ("", "roicat"):
        raise CellsError(f"there is no program '{program}' that pairs cells; there is: roicat")
    a, b = (masks_of_cells(one, rejected)[0] for one in (first, second))
    if program:
        from napari_biofm.api.roicat_match import match_with_roicat

        return match_with_roicat(a, b, um_per_pixel)
    return match(a, b, most_px=most_px, least_score=least_score)


def masks_of_cells(given: Cells, rejected: bool = False) -> tuple[Labels, str]:
    """Return the masks of cells, without rejected ones, and how many were left out or are included, in words.

    Parameters
    ----------
    given : as in `match_cells`. Label images say nothing of rejected cells.
    rejected : whether those stay.

    Raises
    ------
    CellsError
        If traces do not know their masks.
    """
    if isinstance(given, str | Path):
        form = find_format(Path(given))
        if form is None or form.name not in MASKS_INSIDE:
            return read_masks(given), ""
        given = read_recording(given)
    if not isinstance(given, Recording):
        return np.asarray(given), ""
    if given.rois is None:
        raise CellsError(f"{given.name} does not hold the masks of its cells: give the label image")
    kept = choose_cells(given, rejected)
    return np.where(np.isin(given.rois, kept.recording.labels), given.rois, 0), kept.said
