"""Vectors of many crops are computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.cells.embed.encoders import KEPT, kept_vectors
from napari_biofm.types import run_task


class Counting:
    """An encoder that says how often it was asked."""

    name = "counting"
    crop_parts: tuple[int, ...] = ()

    def __init__(self, sha256: str) -> None:
        self.weights_sha256, self.asked = sha256, 0

    def crop_vectors(self, crops: Any) -> Any:
        self.asked += len(crops)
        return crops.reshape(len(crops), -1)[:, :3].astype(np.float32)


@pytest.fixture
def crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "cache"))
    return np.random.default_rng(0).integers(0, 255, (KEPT + 5, 6, 6), np.uint8)


def test_the_same_crops_are_encoded_once_other_crops_weights_or_views_again(crops: np.ndarray) -> None:
    first = Counting("a" * 64)
    once = run_task(kept_vectors(first, crops))
    again = run_task(kept_vectors(first, crops))
    assert first.asked == len(crops) and again.tobytes() == once.tobytes()
    run_task(kept_vectors(first, crops, 4))
    assert first.asked == 5 * len(crops)
    changed = crops.copy()
    changed[7, 0, 0] += 1
    assert run_task(kept_vectors(first, changed))[7, 0] == changed[7, 0, 0]
    other = Counting("b" * 64)
    run_task(kept_vectors(other, crops))
    assert other.asked == len(crops)


def test_few_crops_measures_and_a_cache_that_cannot_be_written_are_computed(
    crops: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, measures = Counting("a" * 64), Counting("")
    for _ in range(2):
        run_task(kept_vectors(few, crops[:10]))
        run_task(kept_vectors(measures, crops))
    assert few.asked == 20 and measures.asked == 2 * len(crops)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "file"))
    encoder = Counting("a" * 64)
    assert run_task(kept_vectors(encoder, crops)).shape == (len(crops), 3) and encoder.asked == len(crops)
