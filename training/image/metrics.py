"""Scores of masks, written out here so that the report needs no other package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

THRESHOLDS = np.arange(0.5, 1.0, 0.05)


def iou_matrix(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of every true and every found object; (n_true, n_found)."""
    n, m = int(truth.max()) + 1, int(found.max()) + 1
    overlap = np.bincount(truth.ravel().astype(np.int64) * m + found.ravel(), minlength=n * m).reshape(n, m)
    union = overlap.sum(1, keepdims=True) + overlap.sum(0, keepdims=True) - overlap
    return np.asarray((overlap / np.maximum(union, 1))[1:, 1:], np.float64)


def average_precision(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) at IoU .5 to .95 in steps of .05; (10,)."""
    iou = iou_matrix(truth, found)
    n, m = iou.shape
    scores = []
    for threshold in THRESHOLDS:
        hits = 0
        if n and m:
            good = (iou >= threshold - 1e-9).astype(float)
            rows, columns = linear_sum_assignment(-(good + iou / (2 * min(n, m))))
            hits = int(good[rows, columns].sum())
        scores.append(hits / (n + m - hits) if n + m else 1.0)
    return np.array(scores)
