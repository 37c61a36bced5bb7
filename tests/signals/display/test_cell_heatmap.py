"""All cells as one image: brightness, joined frames, orders of rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.signals.display import cell_heatmap
from napari_biofm.signals.display.cell_heatmap import heat_image, row_order
from napari_biofm.types import run_task


def _cells(n_frames: int = 400) -> Recording:
    dff = np.abs(np.random.default_rng(1).normal(0, 0.05, (30, n_frames))).astype(np.float32)
    dff[7, 100:120], dff[3, 10] = 1, 0.8
    return Recording.from_arrays(dff, 20.0, "dF/F", labels=np.arange(1, 31))


def test_rows_are_ordered_by_activity_time_and_what_a_file_accepts() -> None:
    recording = dataclasses.replace(_cells(), metadata={"accepted": [5, 7]})
    heat = run_task(heat_image(recording))
    assert heat.shape == (30, 400) and heat[7, 110] == 255 and heat[3, 10] > 200 > np.median(heat)
    assert row_order(recording, heat).tolist() == list(range(30))
    assert row_order(recording, heat, "activity")[0] == 7
    by_time = row_order(recording, heat, "time").tolist()
    assert by_time.index(3) < by_time.index(7)
    assert row_order(recording, heat, "accepted")[:3].tolist() == [4, 6, 0]


def test_no_transient_is_lost_where_frames_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_heatmap, "MAX_COLUMNS", 50)
    heat = run_task(heat_image(_cells(404)))
    assert heat.shape == (30, 45) and heat[3, 1] > 200
