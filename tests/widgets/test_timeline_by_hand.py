"""The timeline in a shown viewer, by mouse: slider, cursor, events, lasso, pipettes, offset."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from tests.hand import drag, hover

from napari_biofm.session import CellKey, Link
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock
from napari_biofm.widgets.trace import TraceDock

N_FRAMES, RATE, OFFSET = 60, 10.0, 0.25
LABELS = (3, 8, 20)
SPIKES = (1.0, 3.0, 4.5)


def events_at(rows, kind):
    table = np.zeros(len(rows), EVENT_DTYPE)
    for i, (channel, seconds) in enumerate(rows):
        table[i]["channel"], table[i]["time_s"], table[i]["class"] = channel, seconds, kind
    return table


@pytest.fixture
def scene(viewer: Any, qtbot: Any) -> Any:
    """A movie of three cells, their traces, a patch recording of cell 8, and both docks."""
    viewer.window.resize(1500, 950)
    masks = np.zeros((80, 100), np.int32)
    masks[10:30, 10:30], masks[40:60, 60:88], masks[62:76, 8:24] = LABELS
    movie = np.random.default_rng(0).integers(0, 90, (N_FRAMES, 80, 100)).astype(np.uint8)
    image = viewer.add_image(movie, name="movie", metadata={"frame_rate_hz": RATE})
    labels = viewer.add_labels(masks, name="cells")
    viewer.layers.selection.active = image
    dock, traces = TimelineDock(viewer), TraceDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    viewer.window.add_dock_widget(traces, name="Traces and events", area="bottom")
    session = dock.session
    values = np.random.default_rng(1).normal(0, 0.05, (3, N_FRAMES)).astype(np.float32)
    cells = session.add_recording(Recording.from_arrays(values, RATE, "dF/F", labels=LABELS), "cells")
    patch = session.add_recording(Recording.from_arrays(np.zeros(70_000), 10_000.0, "mV"), "patch")
    session.set_clock(layer_id(image), Clock.from_rate(N_FRAMES, RATE, OFFSET, recording=patch))
    session.set_events(cells, events_at([(0, 1.0), (0, 4.0), (1, 2.5), (2, 3.0)], "calcium"), {})
    session.link(Link(patch, 0, CellKey(layer_id(labels), 8)))
    session.set_events(patch, events_at([(0, t) for t in SPIKES], "AP"), {})
    traces.recordings.show(patch)
    viewer.reset_view()
    qtbot.wait(150)
    return viewer, dock, traces


def send(widget, kind, at, button, held):
    place = QPointF(at)
    event = QMouseEvent(
        kind, place, QPointF(widget.mapToGlobal(at)), button, held, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(widget, event)
    QTest.qWait(20)


def mouse(widget, points):
    """Move to the first point, press, move over the others, release; one point is a click."""
    left, none, kind = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, QMouseEvent.Type
    send(widget, kind.MouseMove, points[0], none, none)
    send(widget, kind.MouseButtonPress, points[0], left, left)
    for point in points[1:]:
        send(widget, kind.MouseMove, point, none, left)
    send(widget, kind.MouseButtonRelease, points[-1], left, none)


def on_plot(canvas, view, x, y):
    """Return where a place of a plot lies on its widget."""
    return canvas.mapFromScene(view.mapViewToScene(QPointF(x, y)))


def raster_place(dock, seconds, row):
    panel = dock.raster_panel
    return on_plot(panel.plots, panel.raster_plot.vb, seconds, row + 0.5)


def test_scrubbing_the_slider_moves_the_cursor_in_the_trace(scene):
    viewer, dock, traces = scene
    bar = viewer.window._qt_viewer.dims.slider_widgets[0].slider
    places = [QPoint(round(f * bar.width()), bar.height() // 2) for f in (0.2, 0.35, 0.5)]
    mouse(bar, places)
    frame = viewer.dims.current_step[0]
    assert 20 < frame < 40
    assert dock.session.time_s == pytest.approx(OFFSET + frame / RATE)
    assert traces.time_line.places == [pytest.approx(dock.session.time_s)]
    assert dock.raster_panel.cursors[0].value() == pytest.approx(dock.session.time_s)


def test_dragging_the_cursor_moves_the_slider(scene):
    viewer, dock, traces = scene
    dock.session.set_time(2.0)
    QApplication.processEvents()
    view = traces.plots.rows[0].view
    middle = sum(view.viewRange()[1]) / 2
    places = [on_plot(traces.plots.canvas, view, t, middle) for t in (2.0, 2.3, 3.0, 3.9, 4.0)]
    port = traces.plots.canvas.viewport()
    span = traces.plots.span()
    mouse(port, places)
    assert dock.session.time_s == pytest.approx(4.0, abs=0.1)
    assert viewer.dims.current_step[0] == pytest.approx((4.0 - OFFSET) * RATE, abs=1.1)
    assert traces.plots.span() == span, "the line was dragged, not the view"


def test_the_cursor_of_traces_of_the_movie_stands_on_its_frame(scene):
    viewer, dock, traces = scene
    traces.recordings.show("cells")
    viewer.dims.set_current_step(0, 30)
    assert traces.time_line.places[0] == pytest.approx(3.0), "sample 30 of a trace, at 10 Hz"
    assert dock.session.time_s == pytest.approx(OFFSET + 3.0)


def test_a_click_on_an_event_of_the_raster_shows_its_frame_and_cell(scene, qtbot):
    viewer, dock, _ = scene
    dock.tabs.setCurrentWidget(dock.raster_panel)
    qtbot.wait(80)
    mouse(dock.raster_panel.plots.viewport(), [raster_place(dock, OFFSET + 4.0, 0)])
    assert viewer.dims.current_step[0] == 40
    assert {key.label for key in dock.session.selection} == {3}


def test_an_event_under_the_mouse_shows_and_what_was_there_comes_back(scene, qtbot):
    viewer, dock, _ = scene
    dock.tabs.setCurrentWidget(dock.raster_panel)
    viewer.dims.set_current_step(0, 5)
    qtbot.wait(80)
    port, none, move = dock.raster_panel.plots.viewport(), Qt.MouseButton.NoButton, QMouseEvent.Type.MouseMove
    for place in ((2.0, 2), (OFFSET + 3.0, 2)):
        send(port, move, raster_place(dock, *place), none, none)
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 30)
    ring = viewer.layers["event under the mouse"]
    assert (
        ring.visible and viewer.layers["cells"].get_value(ring.data_to_world(ring.data[0]), world=True) == 20
    )
    assert "calcium of cell 20" in dock.words.text() and "frame 30" in dock.words.text()
    assert dock.session.selection == frozenset()
    send(port, move, raster_place(dock, 5.5, 2), none, none)
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 5)
    assert not ring.visible


def test_an_event_under_the_mouse_on_the_trace_shows_its_frame_and_cell(scene, qtbot):
    viewer, dock, traces = scene
    row = traces.plots.rows[0]
    port, none, move = traces.plots.canvas.viewport(), Qt.MouseButton.NoButton, QMouseEvent.Type.MouseMove
    place = on_plot(traces.plots.canvas, row.view, 3.0, 0.0)
    for shift in (30, 0):
        send(port, move, place + QPoint(shift, 0), none, none)
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 27)
    assert viewer.layers["event under the mouse"].visible
    assert "AP of cell 8 at 3.000 s" in dock.words.text()


def test_a_click_on_the_point_of_an_event_chooses_its_cell_and_moment(scene, qtbot):
    viewer, dock, _ = scene
    dock.show_panel.show_points.setChecked(True)
    viewer.dims.set_current_step(0, 28)
    qtbot.wait(50)
    hover(viewer, (49.5, 73.5))
    assert "AP of cell 8 at 3.000 s" in dock.words.text()
    drag(viewer, [(49.5, 73.5)])
    assert {key.label for key in dock.session.selection} == {8}
    assert dock.session.time_s == 3.0 and viewer.dims.current_step[0] == 27


def test_a_lasso_on_the_image_lights_rows_of_the_raster(scene):
    viewer, dock, _ = scene
    corners = np.array([(3, 3), (3, 95), (64, 95), (64, 45), (36, 45), (36, 3), (3, 3)], float)
    way = [a + (b - a) * f for a, b in itertools.pairwise(corners) for f in (0, 0.25, 0.5, 0.75)]
    drag(viewer, [*way, corners[-1]], modifiers=["Alt"])
    assert {key.label for key in dock.session.selection} == {3, 8}
    assert dock.raster_panel.chosen.image[:, 0, 3].tolist() == [60, 60, 0]


def test_a_pipette_dragged_to_another_cell_moves_the_link(scene, qtbot):
    viewer, dock, _ = scene
    dock.show_panel.show_pipettes.setChecked(True)
    layer = viewer.layers["pipettes"]
    assert layer.features["recording"].tolist() == ["patch"]
    viewer.layers.selection.active = layer
    layer.mode = "select"
    qtbot.wait(50)
    drag(viewer, [(49.5, 73.5), (45, 60), (30, 30), (20, 20)])
    assert [link.cell.label for link in dock.session.links] == [3]
    np.testing.assert_allclose(layer.data[0], (19.5, 19.5))
    dock.undo_button.click()
    assert [link.cell.label for link in dock.session.links] == [8]
    np.testing.assert_allclose(layer.data[0], (49.5, 73.5))
    drag(viewer, [(49.5, 73.5), (40, 50), (5, 50)])
    assert [link.cell.label for link in dock.session.links] == [8]
    np.testing.assert_allclose(layer.data[0], (49.5, 73.5), err_msg="beside all cells it goes back")


def test_the_offset_is_dragged_in_the_plot(scene, qtbot):
    _, dock, _ = scene
    panel = dock.align_panel
    dock.recording.choose("patch")
    panel.source.setCurrentText("rate and offset")
    panel.rate.setValue(RATE)
    panel.offset.setValue(0.0)
    qtbot.wait(80)
    np.testing.assert_allclose(panel.plot.spikes.getData()[0][::2], SPIKES)
    view = panel.plot.getViewBox()
    places = [on_plot(panel.plot, view, t, 0.5) for t in (3.0, 3.1, 3.3, 3.5)]
    mouse(panel.plot.viewport(), places)
    assert panel.offset.value() == pytest.approx(0.5, abs=0.1)
    panel.button.click()
    assert dock.controller.clock.times[0] == pytest.approx(panel.offset.value())


def test_the_whole_raster_is_seen_above_the_traces(scene, qtbot):
    _, dock, _ = scene
    dock.tabs.setCurrentWidget(dock.raster_panel)
    qtbot.wait(80)
    plots = dock.raster_panel.plots
    assert plots.visibleRegion().boundingRect() == plots.rect()
    for k in range(dock.tabs.count()):  # and no panel gets less room than it needs
        dock.tabs.setCurrentIndex(k)
        qtbot.wait(10)
        panel = dock.tabs.widget(k)
        assert panel.height() >= panel.layout().minimumHeightForWidth(panel.width()), dock.tabs.tabText(k)


def test_play_runs_the_slider_and_the_cursor_in_the_recordings_time(scene, qtbot):
    viewer, dock, traces = scene
    viewer.dims.set_current_step(0, 0)
    seen = []
    viewer.dims.events.current_step.connect(lambda event: seen.append(viewer.dims.current_step[0]))
    dock.player.speed.setCurrentIndex(dock.player.speed.findText("x 5"))
    QTest.mouseClick(dock.player.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.player.is_playing, timeout=15_000)
    assert seen[-1] == N_FRAMES - 1 and seen == sorted(seen)
    assert traces.time_line.places == [pytest.approx(dock.controller.clock.times[-1])]
    assert not dock.player.button.isChecked()


def test_frames_are_left_out_rather_than_late(scene, monkeypatch):
    from napari_biofm.widgets.timeline import player

    viewer, dock, _ = scene
    viewer.dims.set_current_step(0, 10)
    now = [100.0]
    monkeypatch.setattr(player.time, "perf_counter", lambda: now[0])
    dock.player.play()
    dock.player._timer.stop()
    for seconds, frame in ((100.11, 11), (100.12, 11), (101.55, 25)):
        now[0] = seconds
        dock.player.tick()
        assert viewer.dims.current_step[0] == frame
    viewer.dims.set_current_step(0, 50)
    dock.player.tick()
    now[0] += 0.21
    dock.player.tick()
    assert viewer.dims.current_step[0] == 52, "who moves the slider is followed"
    dock.player.play(False)
