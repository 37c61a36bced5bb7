"""Which cells of two sessions are the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.api.images import read_masks
from napari_biofm.types import Labels

if TYPE_CHECKING:
    from napari_biofm.cells.matching import CellMatch


def match_cells(
    first: Labels | str | Path, second: Labels | str | Path, *, most_px: float = 8.0, least_score: float = 0.3
) -> CellMatch:
    """Pair the cells of two sessions of one field: by overlap and shape after the fields are laid over each other.

    Parameters
    ----------
    first, second : (Y, X) labels, or the path of a label image.
    most_px : centres of a pair lie at most so far from each other after laying over, pixels.
    least_score : 0 to 1; pairs with a lower score are none.

    Returns
    -------
    CellMatch
        Pairs `first`, `second` with `overlap`, `distance`, `score` and `margin` (near 0: ambiguous), the cells that are
        alone, and the transformation; `relabelled` gives the second session the ids of the first.

    Raises
    ------
    CellsError
        If a session has no cell.
    """
    from napari_biofm.cells.matching import match_cells as match

    a, b = (read_masks(one) if isinstance(one, str | Path) else np.asarray(one) for one in (first, second))
    return match(a, b, most_px=most_px, least_score=least_score)
