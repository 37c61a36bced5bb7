"""The one file that touches what is private in scikit-learn (1.4 to 1.9): the trees of histogram gradient boosting.

Trees are copied into plain arrays so that a trained model can be stored without pickle; scikit-learn gives no
public way to read them. A release that moved them gives a CellsError that says so, and
`tests/cells/test_compatibility.py` fails before a user meets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


def boosted_trees(boosting: HistGradientBoostingClassifier) -> Sequence[Sequence[Any]]:
    """Return the trees of a fitted `HistGradientBoostingClassifier`: per iteration, one per column of logits.

    Each has `nodes`, a structured array with `is_leaf`, `value`, `feature_idx`, `left`, `right`, `num_threshold`.
    """
    trees: Sequence[Sequence[Any]] = _part(boosting, "_predictors")
    return trees


def boosting_baseline(boosting: HistGradientBoostingClassifier) -> NDArray[np.float64]:
    """Return the logits before the first tree, (n_columns,)."""
    return np.ravel(np.asarray(_part(boosting, "_baseline_prediction"), np.float64))


def _part(boosting: object, name: str) -> Any:
    try:
        return getattr(boosting, name)
    except AttributeError as error:
        import sklearn

        raise CellsError(
            f"scikit-learn {sklearn.__version__} keeps its boosted trees elsewhere than the releases this program "
            "knows; install scikit-learn 1.4 to 1.9, or choose another kind of classifier."
        ) from error
