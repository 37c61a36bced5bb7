"""Rejected cells in the panels of the Timeline: left out, told, and back with a tick, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_biofm.actions import JudgeCells
from napari_biofm.session import CellKey, Link
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.timeline.activity_and_morphology import BLOCK
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock

N_FRAMES, RATE = 80, 10.0
LABELS = tuple(range(3, 15))
OUT = (5, 8)


@pytest.fixture
def scene(make_napari_viewer: Any) -> Any:
    """Twelve cells with events; the file rejects two of them."""
    viewer = make_napari_viewer()
    masks = np.zeros((40, 50), np.int32)
    for k, label in enumerate(LABELS):
        y, x = 2 + 12 * (k // 4), 2 + 12 * (k % 4)
        masks[y : y + 4 + k // 3, x : x + 6] = label
    rng = np.random.default_rng(0)
    traces = rng.normal(0, 0.05, (len(LABELS), N_FRAMES)).astype(np.float32)
    events = np.zeros(2 * len(LABELS), EVENT_DTYPE)
    events["channel"], events["class"] = np.repeat(np.arange(len(LABELS)), 2), "calcium"
    events["time_s"] = np.sort(rng.uniform(1, 7, len(events)))
    for one in events:
        size = 9.0 if LABELS[one["channel"]] in OUT else 1.0
        traces[one["channel"], round(float(one["time_s"]) * RATE) :][:3] += size
    image = viewer.add_image(rng.random((N_FRAMES, 40, 50), np.float32), name="movie")
    viewer.add_labels(masks, name="cells")
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    uid = dock.session.add_recording(Recording.from_arrays(traces, RATE, "dF/F", labels=LABELS), "traces")
    dock.session.set_clock(layer_id(image), Clock.from_rate(N_FRAMES, RATE))
    dock.session.set_events(uid, events, {})
    return viewer, dock, uid


def reject(dock: TimelineDock, uid: str) -> None:
    dock.session.do(JudgeCells(uid, tuple((label, "", "reject") for label in OUT)))


def test_panels_leave_rejected_cells_out_and_say_so_until_the_box_is_ticked(scene: Any) -> None:
    viewer, dock, uid = scene
    assert len(dock.raster_panel.ids) == 12 and dock.rejected.isHidden()
    dock.show_panel.show_points.setChecked(True)
    dock.show_panel.map_of.choose("event rate (Hz)")
    assert "over 12 cells" in dock.show_panel.words.text()
    reject(dock, uid)
    said = "2 of 12 cells are rejected and left out"
    assert set(dock.raster_panel.ids) == set(LABELS) - set(OUT)
    assert dock.raster_panel.words.text() == f"20 events of 10 cells; {said}"
    assert not dock.rejected.isHidden() and said in dock.rejected.toolTip()
    assert len(dock.controller.population()) == 20
    assert set(viewer.layers["movie events"].features["label"]).isdisjoint(OUT)
    shown = viewer.layers["event rate (Hz)"].data
    masks = viewer.layers["cells"].data
    assert np.isnan(shown[np.isin(masks, OUT)]).all() and np.isfinite(shown[masks == 3]).all()
    dock.show_panel.show_activity.setChecked(True)
    assert "Activity of 10 of 12 cells" in dock.show_panel.words.text()
    dock.rejected.setChecked(True)
    assert len(dock.raster_panel.ids) == 12
    assert "2 of 12 cells are rejected and included" in dock.raster_panel.words.text()
    assert dock.show_panel.activity.levels.labels.tolist() == list(LABELS)
    assert len(dock.controller.population()) == 24
    dock.rejected.setChecked(False)
    dock.session.undo()  # the verdicts
    assert len(dock.raster_panel.ids) == 12 and dock.rejected.isHidden()


def test_averages_and_tables_leave_them_out(scene: Any) -> None:
    viewer, dock, uid = scene
    reject(dock, uid)
    panel = dock.around_panel
    panel.before.setValue(0.5)
    panel.after.setValue(0.5)
    panel.average()
    assert "2 of 12 cells are rejected and left out" in panel.words.text()
    assert viewer.layers[-1].name == "around 20 events of all cells"
    heights = [float(np.nanmax(item.getData()[1])) for item in panel.plot.listDataItems()]
    assert heights and max(heights) < 2  # those left out are nine times as large
    dock.session.select([CellKey(layer_id(viewer.layers["cells"]), 5)])
    panel.average()
    assert panel.words.text() == "No events of cell 5 yet. 2 of 12 cells are rejected and left out."
    table = dock.activity_morphology_panel.add()
    out = np.isin(table.obs["label"], OUT)
    assert np.isnan(table.obsm[BLOCK][out]).all() and np.isfinite(table.obs["trace_rate_hz"][~out]).all()
    assert "2 of 12 cells are rejected and left out" in dock.activity_morphology_panel.words.text()
    dock.activity_morphology_panel.test()
    assert dock.activity_morphology_panel.words.text().startswith("10 cells")


def test_a_cell_that_was_recorded_keeps_its_row_and_what_was_recorded(scene: Any) -> None:
    viewer, dock, uid = scene
    patch = Recording.from_arrays(np.zeros(8000, np.float32), 1000.0, "mV")
    other = dock.session.add_recording(patch, "patch")
    spikes = np.zeros(3, EVENT_DTYPE)
    spikes["time_s"], spikes["class"] = (1.0, 2.0, 3.0), "AP"
    dock.session.set_events(other, spikes, {})
    dock.session.link(Link(other, 0, CellKey(layer_id(viewer.layers["cells"]), 5)))
    reject(dock, uid)
    assert 5 in dock.raster_panel.ids and 8 not in dock.raster_panel.ids
    mine = dock.controller.events()
    assert (mine.classes[mine.labels == 5] == "AP").all() and (mine.labels == 5).sum() == 3
