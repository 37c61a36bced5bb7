"""Network and evidence together: a calibrated probability per candidate, and when a trace holds no event at all.

A judge is a logistic regression on the columns of `evidence` and their products, fitted in training/physio/calibrate.py on
traces that were kept back and on recordings without events; its numbers lie in the JSON beside the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.decode import sigmoid

Floats = NDArray[np.float64]


def products(columns: Floats) -> Floats:
    """Return (n, k) columns, their squares and their products; (n, k + k (k + 1) / 2)."""
    first, second = np.triu_indices(columns.shape[1])
    return np.concatenate([columns, columns[:, first] * columns[:, second]], axis=1)


def judged(evidence: Floats, judge: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the probability of each candidate.

    Parameters
    ----------
    evidence : (n, k). judge : `middle` and `spread` (k,) of the columns, `weights` of their products, `bias`;
        `sure`, where given, the score that one candidate of a trace must reach.
    """
    scaled = (evidence - np.asarray(judge["middle"])) / np.asarray(judge["spread"])
    weights = np.asarray(judge["weights"], np.float64)
    return np.asarray(sigmoid(products(np.clip(scaled, -6, 6)) @ weights + judge["bias"]), np.float32)


def judge_of(card: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the judge of a kind, None where the weights have none."""
    judges: Mapping[str, Any] = card.get("judges", {})
    return judges.get(kind) or judges.get(KINDS[kind].network)


def silent(score: NDArray[Any], judge: Mapping[str, Any]) -> bool:
    """Return whether not one candidate of a trace is sure: then it holds no event."""
    return not len(score) or float(score.max()) < float(judge.get("sure", 0.0))
