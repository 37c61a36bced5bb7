"""The trace dock in a viewer: what a person does, and what they then see."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QVBoxLayout

from napari_biofm.analyses.running import analyse
from napari_biofm.session import CellKey
from napari_biofm.signals import Recording, Tag
from napari_biofm.signals.display.layout import SweepMode, parse_sweeps
from napari_biofm.timeline import class_colours
from napari_biofm.types import EVENT_DTYPE, RecordingError
from napari_biofm.widgets.common.analyse_panel import AnalysePanel
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.trace import TraceDock
from napari_biofm.widgets.trace.plots import TracePlots

RATE = 10_000.0


def _steps() -> Recording:
    """Return three sweeps of current and recorded command, with one inward event in each."""
    rng = np.random.default_rng(0)
    sweeps = []
    for sweep in range(3):
        current = rng.normal(0, 1, 5000)
        current[2000 + 100 * sweep :][:50] -= 40
        sweeps.append([current, np.full(5000, -70.0 + 10 * sweep)])
    return Recording.from_arrays(sweeps, RATE, ["pA", "mV"], names=["I", "V command"])


def _cells() -> Recording:
    dff = np.abs(np.random.default_rng(1).normal(0, 0.05, (30, 400))).astype(np.float32)
    dff[7, 100:120] = 1
    return Recording.from_arrays(dff, 20.0, "dF/F", labels=np.arange(1, 31))


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> TraceDock:
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    qtbot.wait(20)
    return dock


def _analyse(dock: TraceDock, analysis: str, **values: str) -> AnalysePanel:
    """Choose an analysis, fill its form and press Run."""
    panel = dock.analyse_panel
    dock.show_panel(panel)
    panel.choose(analysis)
    panel.refresh()
    for key, value in values.items():
        panel.set_value(key, value)
    panel.run_button.click()
    return panel


def _header(panel: AnalysePanel) -> list[str]:
    return [panel.table.horizontalHeaderItem(i).text() for i in range(panel.table.columnCount())]


def _rows(panel: AnalysePanel) -> list[list[str]]:
    table = panel.table
    return [[table.item(i, j).text() for j in range(table.columnCount())] for i in range(table.rowCount())]


def _press_key(dock: TraceDock, keys: str) -> None:
    """Do what a key does, whichever window the test has in front."""
    shortcuts = dock.findChildren(QShortcut)
    next(one for one in shortcuts if one.key() == QKeySequence(keys)).activated.emit()


def _with_events(dock: TraceDock) -> str:
    uid = dock.session.add_recording(_steps(), "steps")
    events = np.zeros(3, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [0, 1, 2], [0.2, 0.21, 0.22]
    events["class"], events["score"], events["unit"] = "EPSC", 0.9, "pA"
    dock.session.set_events(uid, events, {"detector": "by hand"})
    return uid


def test_an_empty_dock_says_how_to_open_a_recording(dock: TraceDock) -> None:
    assert dock.plots.empty.isVisibleTo(dock) and "press Open" in dock.plots.empty.text()
    assert not dock.heatmap.isVisibleTo(dock)
    dock.events.detect("threshold", "psc", "balanced")  # tells, does not fail
    dock.export_panel.refresh.emit()


def test_a_recording_is_drawn_with_its_channels_and_command(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    assert dock.toolbar.recordings.currentText() == "steps" and dock.toolbar.sweep.maximum() == 2
    assert dock.plots.channels == [0, 1]
    y = dock.plots.rows[0].front.getData()[1]
    assert y.min() == _steps().values(0, 0).min()


def test_arrow_keys_go_through_the_sweeps(dock: TraceDock, qtbot: Any) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.plots.step_sweep(1)
    assert dock.plots.sweep == 1 and dock.toolbar.sweep.value() == 1
    dock.toolbar.sweep.setValue(2)
    assert dock.plots.sweep == 2
    dock.plots.step_sweep(1)
    assert dock.plots.sweep == 2


@pytest.mark.parametrize("mode", list(SweepMode))
def test_every_layout_of_sweeps_draws_all_of_them(dock: TraceDock, mode: SweepMode) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.toolbar.mode.setCurrentText(mode.value)
    dock.toolbar.average.setChecked(True)
    points = dock.plots.rows[0].behind.getData()[0]
    assert (points is None or len(points) == 0) == (mode is SweepMode.ONE)
    last = 1.5 if mode is SweepMode.IN_TIME else 0.5
    assert dock.plots.whole()[1] == pytest.approx(last)


def test_dragging_a_box_zooms_and_back_returns(dock: TraceDock, qtbot: Any) -> None:
    dock.session.add_recording(_steps(), "steps")
    qtbot.wait(50)
    before = dock.plots.span()
    canvas, view = dock.plots.canvas, dock.plots.rows[0].view
    corners = [canvas.mapFromScene(view.mapViewToScene(p)) for p in _corners(view)]
    port = canvas.viewport()
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=corners[0])
    for k in range(1, 6):
        qtbot.mouseMove(port, _between(corners, k / 5))
        qtbot.wait(15)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=corners[1])
    qtbot.wait(20)
    start, stop = dock.plots.span()
    assert stop - start < 0.7 * (before[1] - before[0])
    dock.toolbar.back_asked.emit()
    assert dock.plots.span() == pytest.approx(before)


def _corners(view: Any) -> list[Any]:
    import pyqtgraph as pg

    (x0, x1), (y0, y1) = view.viewRange()
    return [pg.Point(x0 + f * (x1 - x0), y0 + g * (y1 - y0)) for f, g in ((0.3, 0.8), (0.6, 0.2))]


def _between(corners: list[QPoint], share: float) -> QPoint:
    a, b = corners
    return QPoint(round(a.x() + share * (b.x() - a.x())), round(a.y() + share * (b.y() - a.y())))


def test_cursors_tell_what_lies_between_them(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.toolbar.cursors.setChecked(True)
    dock.cursors.place(0.1, 0.15)
    assert "dt 50 ms" in dock.readout.text() and "V command" in dock.readout.text()
    panel = _analyse(dock, "steps")
    assert "Conductance" in panel.summary.text()
    assert _header(panel) == ["Command (mV)", "Mean of I (pA)"]


def _drag_line(dock: TraceDock, line: Any, to: float, qtbot: Any) -> None:
    """Take a cursor with the mouse to a place on the time axis."""
    canvas, view = dock.plots.canvas, dock.plots.rows[0].view
    middle = sum(view.viewRange()[1]) / 2
    ends = [canvas.mapFromScene(view.mapViewToScene(QPointF(at, middle))) for at in (line.value(), to)]
    port = canvas.viewport()
    qtbot.mouseMove(port, ends[0])
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=ends[0])
    for k in range(1, 6):
        qtbot.mouseMove(port, _between(ends, k / 5))
        qtbot.wait(15)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=ends[1])
    qtbot.wait(20)


def test_baseline_and_peak_are_dragged_and_typed_and_read_as_the_verb_does(
    dock: TraceDock, qtbot: Any
) -> None:
    recording = _steps()
    dock.session.add_recording(recording, "steps")
    qtbot.mouseClick(dock.toolbar.cursors, Qt.MouseButton.LeftButton)
    qtbot.wait(50)
    assert len(dock.cursors.lines) == len(dock.view.baseline.lines) == 2, "both pairs are on the screen"
    for line, to in zip(
        (*dock.view.baseline.lines, *dock.cursors.lines), (0.05, 0.15, 0.19, 0.3), strict=True
    ):
        _drag_line(dock, line, to, qtbot)
    pixel = (dock.plots.span()[1] - dock.plots.span()[0]) / dock.plots.rows[0].view.width()
    (a, b), (c, d) = dock.view.cursor_bar.spans
    assert (a, b, c, d) == pytest.approx((0.05, 0.15, 0.19, 0.3), abs=2 * pixel), "the boxes follow"
    below = dock.plots.rows[1].plot.items
    assert {a, b, c, d} <= {round(line.value(), 6) for one in below for line in getattr(one, "lines", ())}
    where = {"baseline_from_s": a, "baseline_to_s": b, "peak_from_s": c, "peak_to_s": d, "channel": 0}
    table = analyse("cursors", recording, **where).table
    assert table["peak_pA"][0] == pytest.approx(-42, abs=3)
    assert f", peak {table['peak_pA'][0]:.4g} pA" in dock.readout.text()
    assert f"baseline {table['baseline_pA'][0]:.4g} ± {table['noise_pA'][0]:.2g} pA" in dock.readout.text()
    assert "V command: dt" in dock.readout.text(), "every shown channel"
    box = dock.view.cursor_bar.times[2]
    box.selectAll()
    qtbot.keyClicks(box, "0.208")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert dock.cursors.lines[0].value() == pytest.approx(0.208)
    dock.view.cursor_bar.polarity.setCurrentText("up")
    dock.view.cursor_bar.mean.setValue(1)
    where |= {"peak_from_s": 0.208, "polarity": "up", "mean_ms": 1}
    table = analyse("cursors", recording, **where).table
    assert f", peak {table['peak_pA'][0]:.4g} pA" in dock.readout.text()
    qtbot.mouseClick(dock.view.cursor_bar.all, Qt.MouseButton.LeftButton)
    panel = dock.analyse_panel
    assert panel.isVisible() and panel.table.rowCount() == 3
    at = _header(panel).index("peak_pA")
    assert [row[at] for row in _rows(panel)] == [f"{one:.6g}" for one in table["peak_pA"]]
    dock.view.cursor_bar.baseline.setChecked(False)
    assert not dock.view.baseline.lines and "baseline" not in dock.readout.text()
    qtbot.mouseClick(dock.toolbar.cursors, Qt.MouseButton.LeftButton)
    assert not dock.cursors.lines and not dock.view.cursor_bar.isVisible()


def test_events_are_counted_against_the_command(dock: TraceDock) -> None:
    uid = dock.session.add_recording(_steps(), "steps")
    dock.toolbar.cursors.setChecked(True)
    dock.cursors.place(0.1, 0.3)
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"], events["class"] = [0, 1, 1, 2], [0.2, 0.21, 0.25, 0.22], "AP"
    events["class"][3] = "rejected"
    dock.session.set_events(uid, events, {})
    panel = _analyse(dock, "steps", measure="rate")
    assert _header(panel) == ["Command (mV)", "Events of I (Hz)"]
    assert _rows(panel) == [["-70", "5"], ["-60", "10"], ["-50", "0"]]


def test_only_chosen_sweeps_are_drawn_averaged_and_measured(dock: TraceDock, qtbot: Any) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.toolbar.mode.setCurrentText(SweepMode.OVERLAY.value)
    qtbot.keyClicks(dock.toolbar.chosen, "1-2")
    qtbot.keyClick(dock.toolbar.chosen, Qt.Key.Key_Return)
    assert dock.plots.lines.sweeps() == [1, 2] and dock.plots.sweep == 1
    assert "2 of 3 sweeps are drawn" in dock.readout.text()
    assert np.isnan(dock.plots.rows[0].behind.getData()[1]).sum() == 2
    dock.plots.step_sweep(-1)
    assert dock.plots.sweep == 1
    dock.toolbar.average.setChecked(True)
    mean = np.mean([_steps().values(i, 0) for i in (1, 2)], axis=0)
    np.testing.assert_allclose(dock.plots.lines.mean(0, 0, 1, 5000).values, mean, rtol=1e-4, atol=1e-4)
    dock.toolbar.cursors.setChecked(True)
    dock.cursors.place(0.1, 0.15)
    assert [row[0] for row in _rows(_analyse(dock, "steps"))] == ["-60", "-50"]
    dock.toolbar.chosen.clear()
    dock.toolbar.chosen.editingFinished.emit()
    assert dock.plots.lines.sweeps() == [0, 1, 2]
    with pytest.raises(
        RecordingError, match="'7' names no sweeps of this recording: give numbers from 0 to 2"
    ):
        parse_sweeps("0, 7", 3)


def test_a_row_of_the_table_brings_its_event_into_view_and_a_key_judges_it(dock: TraceDock) -> None:
    uid = _with_events(dock)
    dock.events_panel.table.select_rows([2])
    assert dock.plots.sweep == 2
    start, stop = dock.plots.span()
    assert start < 0.22 < stop and stop - start < 0.3
    dock.events_panel.table.select_rows([0])
    dock.events_panel.judge_selected("reject")
    assert dock.session.events(uid)["class"].tolist() == ["rejected", "EPSC", "EPSC"]
    assert dock.events_panel.table.selected() == [1], "it goes on to the next"
    dock.session.history.undo()
    assert dock.session.events(uid)["class"].tolist() == ["EPSC"] * 3


def test_marks_table_and_image_agree_on_the_colour_of_a_class(dock: TraceDock) -> None:
    _with_events(dock)
    rgb = (255 * class_colours(np.array(["EPSC"]))[0, :3]).astype(int).tolist()
    model = dock.events_panel.table.events_model
    shown = model.data(model.index(0, 3), Qt.ItemDataRole.DecorationRole)
    mark = dock.marks._points[0].points()[0].brush().color()
    assert [shown.red(), shown.green(), shown.blue()] == rgb
    assert [mark.red(), mark.green(), mark.blue()] == rgb


def test_marks_and_table_select_each_other(dock: TraceDock) -> None:
    _with_events(dock)
    dock.marks.picked.emit(1)
    assert dock.events_panel.table.selected() == [1] and dock.plots.sweep == 1
    assert dock.marks._handle is not None
    dock.marks.moved.emit(1, 0.3)
    assert dock.session.events("steps")["time_s"][1] == pytest.approx(0.3)


def test_a_double_click_adds_an_event_and_delete_removes_it(dock: TraceDock) -> None:
    uid = _with_events(dock)
    dock.events_panel.new_class.setCurrentText("IPSC")
    dock.plots.double_clicked.emit(0, 0.4, 0.0, None)
    assert dock.session.events(uid)["class"].tolist() == ["EPSC", "IPSC", "EPSC", "EPSC"]
    assert dock.events_panel.table.selected() == [1]
    dock.events_panel.delete.emit([1])
    assert len(dock.session.events(uid)) == 3


def test_detect_fills_the_table(dock: TraceDock) -> None:
    uid = dock.session.add_recording(_steps(), "steps")
    dock.events.detect("threshold", "psc", "balanced")
    events = dock.session.events(uid)
    assert set(events["sweep"].tolist()) == {0, 1, 2}
    assert dock.events_panel.table.events_model.rowCount() == len(events)
    assert "threshold" in dock.exports.methods_text()


def test_options_of_the_detector_are_typed_into_the_dock(dock: TraceDock, qtbot: Any) -> None:
    uid, panel = dock.session.add_recording(_steps(), "steps"), dock.events_panel
    panel.detector.setCurrentText("pan-tompkins")
    assert not panel.options.isEnabled()
    panel.detector.setCurrentText("threshold")
    assert "sigma (0.1 to 1000; default 5)" in panel.options.toolTip()
    panel.kind.setCurrentText("Synaptic currents")
    qtbot.keyClicks(panel.options, "sigma=7")
    qtbot.keyClick(panel.options, Qt.Key.Key_Return)
    assert dock.session.event_table(uid).provenance["options"] == {"sigma": 7.0}


def test_the_table_filters_and_sorts(dock: TraceDock) -> None:
    uid = _with_events(dock)
    dock.events_panel.table.select_rows([1])
    dock.events_panel.judge_selected("accept")
    dock.events_panel.which_verdict.setCurrentText("accept")
    assert dock.events_panel.table.events_model.rows.tolist() == [1]
    dock.events_panel.which_verdict.setCurrentText("All verdicts")
    dock.events_panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert dock.events_panel.table.events_model.rows.tolist() == [2, 1, 0]
    assert len(dock.session.events(uid)) == 3


def test_a_wrong_unit_is_told_and_put_right_and_undone(dock: TraceDock) -> None:
    uid = dock.session.add_recording(Recording.from_arrays(np.linspace(-40, 40, 900), RATE, "A"), "amperes")
    assert dock.unit_hint.isVisibleTo(dock) and "looks wrong" in dock.unit_hint.message.text()
    dock.unit_hint.fix.click()
    assert dock.session.recordings[uid].recording.channels[0].unit == "pA"
    assert not dock.unit_hint.isVisibleTo(dock)
    dock.session.history.undo()
    assert dock.session.recordings[uid].recording.channels[0].unit == "A"


def test_a_display_filter_changes_the_picture_only_and_a_copy_is_a_recording(dock: TraceDock) -> None:
    uid = dock.session.add_recording(_steps(), "steps")
    dock.filters_panel.lowpass.setValue(100)
    before = dock.plots.rows[0].front.getData()[1].std()
    dock.filters_panel.show_filters.setChecked(True)
    assert dock.plots.rows[0].front.getData()[1].std() < before
    assert "100 Hz" in dock.exports.methods_text() and "display" in dock.exports.methods_text()
    np.testing.assert_array_equal(dock.recording.values(0, 0), _steps().values(0, 0))
    dock.analyses.make_copy(dock.filters_panel.settings)
    assert list(dock.session.recordings) == [uid, f"{uid} (filtered)"]
    assert not dock.filters_panel.show_filters.isChecked()


def test_events_are_averaged_and_counted(dock: TraceDock) -> None:
    _with_events(dock)
    assert "3 events" in _analyse(dock, "average", name="EPSC").summary.text()
    panel = _analyse(dock, "histogram")
    assert "3 values" in panel.summary.text() and len(panel.plots.items) == 2
    before = len(notification_manager.records)
    _analyse(dock, "histogram", of="interval", name="AP")
    assert "Find events first" in str(notification_manager.records[before].message)


def test_quality_is_measured_in_words(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.quality_panel.ask()
    assert "RMS" in dock.quality_panel.numbers.text() and "Drift" in dock.quality_panel.numbers.text()


def test_cells_are_a_heatmap_and_a_clicked_row_shows_its_line(dock: TraceDock) -> None:
    dock.session.add_recording(_cells(), "cells")
    assert dock.heatmap.isVisibleTo(dock)
    dock.heatmap.picked.emit(7, False)
    dock.heatmap.picked.emit(3, True)
    assert dock.plots.channels == [7, 3]
    dock.heatmap.sort("activity")
    assert dock.heatmap.order[0] == 7


def test_a_cell_selected_elsewhere_shows_its_trace(dock: TraceDock, viewer: Any) -> None:
    labels = viewer.add_labels(np.zeros((8, 8), int))
    dock.session.set_layers(labels=layer_id(labels))
    dock.session.add_recording(_cells(), "cells")
    dock.session.select([CellKey(layer_id(labels), 12), CellKey(layer_id(labels), 5)])
    assert dock.plots.channels == [4, 11]


def test_movie_and_masks_become_traces(dock: TraceDock, viewer: Any) -> None:
    movie = np.random.default_rng(0).random((60, 20, 20)).astype(np.float32)
    masks = np.zeros((20, 20), int)
    masks[3:8, 3:8], masks[12:17, 10:15] = 1, 2
    viewer.add_image(movie, name="movie")
    viewer.add_labels(masks, name="cells")
    panel = dock.movie_panel
    panel.go.click()
    assert "frame rate" in panel.message.text().lower()
    panel.rate.setValue(10)
    panel.go.click()
    assert dock.recording is not None and dock.recording.is_cells and dock.recording.n_channels == 2


def test_cells_that_the_results_accept_come_first(dock: TraceDock) -> None:
    cells = _cells()
    item = dock.heatmap.order_by.model().item(3)
    dock.session.add_recording(cells, "all")
    assert not item.isEnabled(), "this file names none"
    accepted = dataclasses.replace(cells, metadata={"accepted": [int(cells.labels[4]), int(cells.labels[6])]})
    dock.session.add_recording(accepted, "some")
    assert item.isEnabled()
    dock.heatmap.order_by.setCurrentText("Accepted first")
    assert dock.heatmap.order[:3].tolist() == [4, 6, 0]


def test_a_low_window_is_not_made_larger_and_keeps_room_for_the_traces(viewer: Any, qtbot: Any) -> None:
    window = viewer.window._qt_window
    window.resize(1280, 800)
    qtbot.wait(50)
    before = window.size()
    made = TraceDock(viewer)
    viewer.window.add_dock_widget(made, area="right", name="Traces and events")
    qtbot.waitUntil(lambda: made.is_placed and made.height() > 400, timeout=3000)
    assert (window.width(), window.height()) == (before.width(), before.height())


def test_tags_stand_where_they_were_left(dock: TraceDock) -> None:
    tagged = Recording.from_arrays(
        np.zeros((3, 1000)), 1000.0, "pA", tags=(Tag(0.25, "drug on"), Tag(1.5, "wash"))
    )
    dock.session.add_recording(tagged, "tagged")
    assert dock.tag_lines.shown == [(0.25, "drug on")]
    dock.plots.set_sweep(1)
    assert dock.tag_lines.shown == [(0.5, "wash")]
    dock.plots.set_mode(SweepMode.IN_TIME)
    assert dock.tag_lines.shown == [(0.25, "drug on"), (1.5, "wash")]


def test_everything_can_be_exported(dock: TraceDock, tmp_path: Path) -> None:
    _with_events(dock)
    for key, name in (
        ("events_csv", "e.csv"), ("events_parquet", "e.parquet"), ("samples", "s.csv"),
        ("png", "f.png"), ("svg", "f.svg"), ("settings", "s.json"),
    ):  # fmt: skip
        dock.exports.write(key, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 90, name
    pynwb = pytest.importorskip("pynwb")
    dock.exports.write("nwb", tmp_path / "r.nwb")
    assert not pynwb.validate(path=str(tmp_path / "r.nwb")), "what pynwb finds wrong"
    dock.export_panel.refresh.emit()
    assert "3 sweeps" in dock.export_panel.methods.toPlainText()


def test_closing_goes_back_to_the_other_recording(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.session.add_recording(_cells(), "cells")
    dock.recordings.close()
    assert dock.recordings.uid == "steps" and not dock.heatmap.isVisibleTo(dock)
    dock.recordings.close()
    assert dock.plots.empty.isVisibleTo(dock)


def test_the_session_time_is_a_line_on_the_trace(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.session.set_time(0.25)
    assert dock.time_line.places == [0.25, 0.25]
    dock.plots.clicked.emit(0, 0.1, 0.0, None)
    assert dock.session.time_s == pytest.approx(0.1)


def test_scale_bars_average_and_gain_leave_the_view_alone(dock: TraceDock) -> None:
    dock.session.add_recording(_steps(), "steps")
    dock.plots.show_span(0.1, 0.3)
    dock.toolbar.bars.setChecked(True)
    assert dock.plots.span() == pytest.approx((0.1, 0.3))
    assert dock.plots.rows[0].bar.text[0] == "20 ms"
    low, high = dock.plots.rows[0].view.viewRange()[1]
    dock.channels_panel.gain.emit(0, 2.0)
    assert np.diff(dock.plots.rows[0].view.viewRange()[1])[0] == pytest.approx((high - low) / 2)


def test_a_flat_stretch_stays_a_pixel_high_when_the_dock_is_made_lower(qtbot: Any) -> None:
    values = np.zeros(200_000, np.float32)
    values[::50_000] = 100
    plots = TracePlots(Recording.from_arrays(values, RATE, "pA"))
    qtbot.addWidget(plots)
    plots.resize(600, 500)
    plots.show()
    qtbot.waitExposed(plots)
    plots.resize(600, 160)
    qtbot.wait(30)
    row = plots.rows[0]
    (_, _), (low, high) = row.view.viewRange()
    heights = row.front._bars.ndarray()[: len(row.front.getData()[0]) // 2, 3]
    assert heights.min() >= 0.999 * (high - low) / row.view.height()


def test_tabs_scroll_and_a_pulse_can_be_chosen_in_the_quality_tab(dock: TraceDock) -> None:
    time = np.arange(20_000) / RATE
    volts, current = np.full(20_000, -70.0), np.zeros(20_000)
    for start, step in ((2_000, -5.0), (9_000, 10.0)):
        volts[start : start + 4_000] += step
        current[start : start + 4_000] = step * (3 + 97 * np.exp(-time[:4_000] / 3e-4))
    recording = Recording.from_arrays([[current, volts]], RATE, ["pA", "mV"], names=["I", "V command"])
    dock.session.add_recording(recording, "test pulses")
    dock.quality_panel.ask()
    assert "Test pulse of -5 mV" in dock.quality_panel.numbers.text()
    names = [dock.quality_panel.pulse.itemText(i) for i in range(dock.quality_panel.pulse.count())]
    number = next(i for i, name in enumerate(names) if ": 10 mV at 0.9 s" in name)
    assert names[-1] == "Mean of all pulses like the first"
    dock.quality_panel.pulse.setCurrentIndex(number)
    dock.quality_panel.pulse.activated.emit(number)
    assert "Test pulse of 10 mV" in dock.quality_panel.numbers.text()
    assert dock.quality_panel.pulse.currentIndex() == number


def test_dragging_an_event_behind_its_neighbour_sorts_the_table_and_keeps_it_selected(
    dock: TraceDock, qtbot: Any
) -> None:
    uid = dock.session.add_recording(_steps(), "steps")
    events = np.zeros(3, EVENT_DTYPE)
    events["time_s"], events["class"], events["unit"] = [0.1, 0.2, 0.3], ["EPSC", "IPSC", "AP"], "pA"
    dock.session.set_events(uid, events, {})
    qtbot.wait(50)
    table, view, canvas = dock.events_panel.table, dock.plots.rows[0].view, dock.plots.canvas
    table.select_rows([0])
    qtbot.wait(20)
    middle = sum(view.viewRange()[1]) / 2
    start, stop = (canvas.mapFromScene(view.mapViewToScene(QPointF(t, middle))) for t in (0.1, 0.25))
    port = canvas.viewport()
    qtbot.mouseMove(port, start)
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for k in range(1, 6):
        qtbot.mouseMove(port, _between([start, stop], k / 5))
        qtbot.wait(15)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=stop)
    qtbot.waitUntil(lambda: dock.session.events(uid)["class"].tolist() == ["IPSC", "EPSC", "AP"])
    assert dock.session.events(uid)["time_s"][1] == pytest.approx(0.25, abs=0.005)
    assert table.selected() == [1]
    _press_key(dock, "R")
    assert dock.session.events(uid)["class"].tolist() == ["IPSC", "rejected", "AP"]
    table.select_rows([1])
    dock.session.undo()
    dock.session.undo()
    assert dock.session.events(uid)["class"].tolist() == ["EPSC", "IPSC", "AP"]
    assert table.selected() == [0], "the selection follows the event back"


def test_an_undo_that_no_longer_fits_is_told_and_the_ones_before_it_are_undone(dock: TraceDock) -> None:
    uid = _with_events(dock)
    other = dock.session.add_recording(_cells(), "cells")
    dock.recordings.show(uid)
    dock.events.judge([0], "reject")
    dock.session.set_events(other, np.zeros(1, EVENT_DTYPE), {}, "mark")
    dock.session.remove_recording(other)
    before = len(notification_manager.records)
    dock.events_panel.undo_button.click()
    shown = [str(record.message) for record in list(notification_manager.records)[before:]]
    assert len(shown) == 1 and "'mark' could not be undone and was left out" in shown[0]
    dock.events_panel.undo_button.click()
    assert dock.session.events(uid)["class"].tolist() == ["EPSC"] * 3
    assert len(notification_manager.records) == before + 1


def test_what_is_offered_for_recovery_stands_above_the_traces_and_takes_no_width(dock: TraceDock) -> None:
    layout = dock.layout()
    assert isinstance(layout, QVBoxLayout)
    assert layout.count() >= 1 and dock.view.width() > dock.width() / 3


def test_single_channels_are_put_into_numbers_by_a_click(dock: TraceDock, qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    is_open = np.repeat(np.tile([0, 1], 300), np.maximum(rng.exponential(80, 600), 1).astype(int))
    current = (3 * is_open + 0.3 * rng.normal(size=len(is_open))).astype(np.float32)
    dock.session.add_recording(Recording.from_arrays(current, RATE, "pA"), "patch")
    dock.show_panel(dock.single_panel)
    qtbot.mouseClick(dock.single_panel.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Po 0." in dock.single_panel.message.text(), timeout=60_000)
    assert dock.single_panel.message.text().startswith("1 channel(s) of 3 pA")
    for view in ("Amplitudes", "Open times", "Shut times"):
        dock.single_panel.view.setCurrentText(view)
        assert len(dock.single_panel.canvas.plotItem.items) == 2  # bars and fit
    dock.session.add_recording(_steps(), "steps")
    assert dock.single_panel.canvas.plotItem.items == []


def test_a_template_is_given_by_hand(dock: TraceDock, qtbot: Any) -> None:
    uid, panel = dock.session.add_recording(_steps(), "steps"), dock.events_panel
    assert panel.template.isHidden()  # physio-FM has no template
    panel.detector.setCurrentText("template")
    assert not panel.template.isHidden()
    for name, typed in (("rise_s", "0.5"), ("decay_s", "4")):
        box = panel.template.fields[name]
        box.selectAll()
        qtbot.keyClicks(box, typed)
    qtbot.mouseClick(panel.detect_button, Qt.MouseButton.LeftButton)
    assert dock.session.event_table(uid).provenance["options"] == {"rise_s": 5e-4, "decay_s": 4e-3}
    panel.detector.setCurrentText("threshold")
    assert panel.template.isHidden() and panel.template.added_to("sigma=4") == "sigma=4"


def test_detecting_again_asks_about_verdicts_and_keeps_them(dock: TraceDock, qtbot: Any) -> None:
    volts = np.random.default_rng(0).normal(-65, 0.2, 20_000)
    for at in (4000, 9000, 14_000):
        volts[at : at + 20] += 90
    dock.session.add_recording(Recording.from_arrays(volts, 20_000.0, "mV", names=["Vm"]), "cell")
    panel = dock.events_panel
    panel.detector.setCurrentText("prominence")
    panel.kind.setCurrentText("Action potentials")
    assert panel.counts.text().startswith("No events yet")
    qtbot.mouseClick(panel.detect_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dock.events.events) == 3)
    dock.events.judge([0], "accept")
    dock.events.judge([1], "reject")
    dock.events.add(0, 0, 0.05, "AP")
    qtbot.mouseClick(panel.detect_button, Qt.MouseButton.LeftButton)
    assert not panel.keep_bar.isHidden() and "3 verdicts" in panel.keep_text.text()
    keep, _, cancel = panel.keep_buttons
    qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    assert panel.keep_bar.isHidden() and len(dock.events.events) == 4
    qtbot.mouseClick(panel.detect_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(keep, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: sorted(dock.events.events["verdict"].tolist()) == ["", "accept", "accept", "reject"]
    )
    assert dock.events.events["class"].tolist().count("rejected") == 1


def test_none_found_is_not_the_same_as_not_looked_for(dock: TraceDock, qtbot: Any) -> None:
    flat = np.random.default_rng(0).normal(-65, 0.1, 20_000)
    dock.session.add_recording(Recording.from_arrays(flat, 20_000.0, "mV", names=["Vm"]), "cell")
    panel = dock.events_panel
    panel.detector.setCurrentText("prominence")
    panel.kind.setCurrentText("Action potentials")
    assert panel.counts.text().startswith("No events yet")
    qtbot.mouseClick(panel.detect_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.counts.text().startswith("None found"))


def test_the_step_plot_takes_an_epoch_of_the_command(dock: TraceDock, qtbot: Any) -> None:
    rng = np.random.default_rng(0)
    sweeps = []
    for level in (-90.0, -80.0, -70.0, -60.0):
        command = np.full(6000, -70.0)
        command[2000:4000] = level
        sweeps.append([(command + 70) * 2 + rng.normal(0, 0.5, 6000), command])
    recording = Recording.from_arrays(sweeps, 10_000.0, ["pA", "mV"], names=["I", "V command"])
    dock.session.add_recording(recording, "iv")
    panel = _analyse(dock, "steps")
    assert "Conductance 2 nS" in panel.summary.text()
    assert "epoch A (step), 0.2 to 0.4 s" in panel.summary.text()
    before = len(notification_manager.records)
    _analyse(dock, "steps", epoch="F")
    assert "epochs A" in str(notification_manager.records[before].message), "what there is, is said"
