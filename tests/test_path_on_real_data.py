"""The whole path, by the docks, on real images and a real recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.projections import MEAN
from napari_biofm.session import CellKey, Link, session_of
from napari_biofm.timeline import Clock
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.segment.dock import SegmentDock
from napari_biofm.widgets.timeline import TimelineDock
from napari_biofm.widgets.trace import TraceDock

pytestmark = pytest.mark.shared_data


def test_image_to_masks_to_classes_and_recording_to_events_on_the_image(
    shared_data: Path, viewer: Any, qtbot: Any
) -> None:
    field = tifffile.imread(shared_data / "imaging" / "bbbc039" / "b39_A02_s1.tif")[:300, :300]
    movie = viewer.add_image(
        np.stack([field] * 12), name="field"
    )  # a still as a movie: time is what is added
    session = session_of(viewer)

    segmenting = SegmentDock(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment cells")
    segmenting.image.value = movie
    segmenting.pixels.value = MEAN
    segmenting.run_button.native.click()
    labels = next(layer for layer in viewer.layers if type(layer).__name__ == "Labels")
    uid = layer_id(labels)
    assert 15 <= labels.data.max() <= 60

    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cell states")
    states = frame.content
    states.form.measure_button.click()
    qtbot.waitUntil(
        lambda: session.cells(uid) is not None and states.states.table is not None, timeout=60_000
    )
    areas = session.cells(uid).obs["area"].to_numpy()
    ranked = np.argsort(areas)
    small, large = states.states.add_class("small"), states.states.add_class("large")
    states.states.assign(ranked[:4], small)
    states.states.assign(ranked[-4:], large)
    states.states.write_predictions()
    table = session.cells(uid)
    predicted = table.obs["predicted"].astype(str).to_numpy()
    assert (predicted != "").any()
    assert set(predicted[ranked[-4:]]) <= {"large", "unknown"}
    assert table.uns is not None
    assert table.X.shape[1] > 20

    traces = TraceDock(viewer)
    viewer.window.add_dock_widget(traces, name="Traces and events")
    traces.recordings.open(shared_data / "ephys" / "abf" / "17o05028_ic_steps.abf")
    (recording,) = session.recordings
    traces.events_panel.detector.setCurrentText("prominence")
    traces.events_panel.detect_button.click()
    events = session.events(recording)
    assert (events["class"] == "AP").sum() > 20

    timeline = TimelineDock(viewer)
    viewer.window.add_dock_widget(timeline, name="Timeline")
    timeline.movie.choose(layer_id(movie))
    timeline.labels.choose(uid)
    timeline.recording.choose(recording)
    starts = session.recordings[recording].recording.sweep_starts[events["sweep"]]
    times = starts + events["time_s"]
    session.set_clock(layer_id(movie), Clock.from_rate(12, 12 / (np.ptp(times) + 1), times.min() - 0.5))
    session.link(Link(recording, int(events["channel"][0]), CellKey(uid, 3)))
    timeline.show_panel.show_points.setChecked(True)
    points = next(layer for layer in viewer.layers if type(layer).__name__ == "Points")
    centre = np.argwhere(labels.data == 3).mean(axis=0)
    assert len(points.data) > 0
    np.testing.assert_allclose(points.data[:, 1:], np.broadcast_to(centre, (len(points.data), 2)), atol=2)

    clock = session.clock(layer_id(movie))
    viewer.dims.set_current_step(0, 7)
    assert session.time_s == pytest.approx(clock.time_of(7), abs=1e-6)
    session.set_time(clock.time_of(2) + 0.01)
    assert viewer.dims.current_step[0] == 2
