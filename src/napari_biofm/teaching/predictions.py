"""What is shown of predictions: codes of the overlay, columns of the table, words on a cell."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.live import Prediction
from napari_biofm.cells.table.cell_table import UNKNOWN
from napari_biofm.types import Vectors

UNKNOWN_CODE, SELECTED_CODE = 255, 254
Codes = NDArray[np.int16]


def fits(prediction: Prediction | None, n: int) -> bool:
    """Tell whether a prediction is one of `n` cells."""
    return prediction is not None and len(prediction.code) == n


def shown_codes(prediction: Prediction | None, by_hand: Codes, min_probability: float) -> NDArray[np.uint8]:
    """Return what each cell is shown as: 1 .. n class (by hand, else predicted), 255 unknown, 0 nothing."""
    shown = np.zeros(len(by_hand), np.uint8)
    if prediction is not None and fits(prediction, len(shown)):
        sure = prediction.probability >= min_probability
        valid = prediction.code >= 0
        shown[valid] = np.where(sure[valid], prediction.code[valid] + 1, UNKNOWN_CODE)
    hand = by_hand >= 0
    shown[hand] = by_hand[hand] + 1
    return shown


def columns_of(
    prediction: Prediction | None, n: int, names: Sequence[str], min_probability: float
) -> dict[str, NDArray[np.object_] | NDArray[np.float64]]:
    """Return the columns `predicted` and `probability` of a table, as they are shown."""
    predicted, probability = np.full(n, -2, np.int64), np.full(n, np.nan)
    if prediction is not None and fits(prediction, n):
        valid = prediction.code >= 0
        sure = prediction.probability >= min_probability
        predicted[valid] = np.where(sure[valid], prediction.code[valid], -1)
        probability = prediction.probability.astype(np.float64)
    words = np.asarray([*names, "", UNKNOWN], object)
    return {"predicted": words[predicted], "probability": probability}


def described(prediction: Prediction | None, row: int, names: Sequence[str]) -> str:
    """Say the three likeliest classes of a cell, "" where nothing is predicted."""
    if prediction is None or row >= len(prediction.code) or prediction.code[row] < 0:
        return ""
    order = np.argsort(-prediction.probabilities[row])[:3]
    likely = [f"{names[prediction.classes[i]]} {prediction.probabilities[row, i]:.0%}" for i in order]
    return f" · {', '.join(likely)}"


def digest_of(vectors: Vectors) -> int:
    """Return what tells whether vectors are the same to the bit."""
    return zlib.crc32(np.ascontiguousarray(vectors).data)
