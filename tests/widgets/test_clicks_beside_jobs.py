"""A click in the Point-and-click dock is answered while another dock's long job runs in the worker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.hand import drag, settle

from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.engine import JobState, make_engine, probe
from napari_biofm.images.prompt.backends import EMBEDDED
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.common.viewers import QtPost
from napari_biofm.widgets.segment import SegmentDock

CENTRES = ((40, 40), (40, 100), (100, 70))


@pytest.fixture(autouse=True)
def autosave_in_tmp(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "home" / "autosave"))


def nuclei() -> np.ndarray:
    y, x = np.indices((140, 140))
    far = np.min([np.hypot(y - cy, x - cx) for cy, cx in CENTRES], axis=0)
    noise = np.random.default_rng(0).normal(20, 3, far.shape)
    return (150 / (1 + np.exp(far - 14)) + noise).clip(0, 255).astype(np.uint8)


def test_a_click_is_answered_while_a_bulk_job_runs(qtbot: Any, viewer: Any) -> None:
    bulk_dock, dock = SegmentDock(viewer), AnnotateDock(viewer)
    engine = make_engine("worker", post=QtPost())
    dock.session.use_engine(engine)
    for name, widget in (("segment", bulk_dock), ("annotate", dock)):
        viewer.window.add_dock_widget(widget, name=name)
    viewer.add_image(nuclei(), name="field")
    labels = viewer.add_labels(np.zeros((140, 140), np.int32), name="cells")
    dock.backend.setCurrentIndex(dock.backend.findData(EMBEDDED))
    settle(viewer)
    job = bulk_dock.run(probe.count, 1_000_000, 0.01, name="long work")
    qtbot.waitUntil(lambda: job.state is JobState.RUNNING, timeout=60_000)

    dock.toolbox.tool_buttons[Tool.POINT].click()
    # the model is loaded when it is chosen, and the plane prepared with the tool, before the first click
    interactive = [j.name for j in engine.jobs if j.lane == "interactive"]
    assert interactive == [f"Loading {EMBEDDED}", f"Preparing clicks ({EMBEDDED})"]
    for cy, cx in CENTRES:
        drag(viewer, [labels.data_to_world((cy, cx))[-2:]])
        qtbot.waitUntil(lambda: bool(dock.annotator.prompt.shown), timeout=120_000)
        dock.press("commit")
    assert job.state is JobState.RUNNING
    found = [int(labels.data[cy, cx]) for cy, cx in CENTRES]
    assert len(set(found)) == 3
    assert all(found)
    assert bulk_dock.job_bar.bulk.job is job
    assert dock.job_bar.bulk.job is None

    bulk_dock.job_bar.bulk.cancel_button.click()
    qtbot.waitUntil(lambda: not bulk_dock.job_bar.isVisible(), timeout=30_000)
    assert job.state is JobState.CANCELLED
