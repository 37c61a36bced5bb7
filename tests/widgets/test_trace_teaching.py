"""Teaching and forecasting in the trace dock, as a person does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt

from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.weights import STOCK, read_card
from napari_biofm.events.review import match_verdicts
from napari_biofm.events.reviewed import reviewed
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.trace import TraceDock

RATE = 10_000.0
WAVE = np.concatenate([np.hanning(40), -0.8 * np.hanning(60), 0.4 * np.hanning(90)])


def doublets() -> tuple[Recording, list[np.ndarray]]:
    """Return three sweeps of 2 s with events no kind knows, and their peaks."""
    rng = np.random.default_rng(4)
    sweeps, truth = [], []
    for _ in range(3):
        x = rng.normal(0, 2, 20_000)
        at = np.cumsum(rng.integers(1800, 3000, 7))
        for a in at:
            x[a : a + len(WAVE)] += 14 * WAVE * rng.uniform(0.8, 1.2)
        sweeps.append([x.astype(np.float32)])
        truth.append((at + 19) / RATE)
    return Recording.from_arrays(sweeps, RATE, ["pA"], names=["I"]), truth


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> TraceDock:
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    qtbot.wait(20)
    return dock


def place(dock: TraceDock, time_s: float) -> QPoint:
    """Return where a time of the current sweep lies on the canvas, in the middle of the first row."""
    view = dock.plots.rows[0].view
    middle = sum(view.viewRange()[1]) / 2
    return dock.plots.canvas.mapFromScene(view.mapViewToScene(QPointF(time_s, middle)))


def double_click(qtbot: Any, port: Any, at: QPoint) -> None:
    """Press twice, as a mouse does: the second press is the double click."""
    left = Qt.MouseButton.LeftButton
    qtbot.mouseMove(port, at)
    qtbot.mousePress(port, left, pos=at)
    qtbot.mouseRelease(port, left, pos=at)
    qtbot.mouseDClick(port, left, pos=at)
    qtbot.mouseRelease(port, left, pos=at)


def press(qtbot: Any, widget: Any) -> None:
    """Click the middle of a widget."""
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())


def test_marks_teach_a_new_class_that_can_be_undone_saved_and_loaded(
    dock: TraceDock, qtbot: Any, tmp_path: Path
) -> None:
    recording, truth = doublets()
    uid = dock.session.add_recording(recording, "doublets")
    panel = dock.teach_panel
    dock.show_panel(panel)
    qtbot.wait(50)
    assert "No marks" in panel.marks.text() and not panel.teach_button.isEnabled()
    double_click(qtbot, dock.plots.canvas.viewport(), place(dock, float(truth[0][0])))
    qtbot.waitUntil(lambda: len(dock.session.events(uid)) == 1)
    assert "At least 5" in panel.marks.text()
    EventEditor(dock.session, uid).move(0, float(truth[0][0]))
    for sweep, times in enumerate(truth):
        for t in times[1 if sweep == 0 else 0 : 5]:
            EventEditor(dock.session, uid).add(sweep, 0, float(t), "PSC")
    assert "15 accepted, 0 rejected in 3 sweeps." in panel.marks.text()
    qtbot.keyClicks(panel.name, "doublet")
    panel.kind.setCurrentText("Synaptic currents")
    press(qtbot, panel.teach_button)
    head = dock.teaching.head
    assert head is not None and head.classes == ["doublet"] and head.report["left_out"] == "recordings"
    assert "In use: taught doublet" in panel.used.text()
    assert "before" in panel.report.text() and "built-in events" in panel.report.text()
    assert head.report["f1_adapted"] > 0.85

    dock.teaching.save(tmp_path / "mine.safetensors")
    dock.session.history.undo()
    assert dock.teaching.head is None and "stock model" in panel.used.text()
    dock.teaching.load(tmp_path / "mine.safetensors")
    assert dock.teaching.head is not None and dock.teaching.head.report == head.report
    press(qtbot, panel.stock_button)
    assert dock.teaching.head is None
    dock.session.history.undo()
    dock.show_panel(dock.events_panel)
    assert "doublet" in dock.events_panel.taught.text()
    dock.show_panel(panel)
    press(qtbot, panel.find_button)
    found = dock.session.events(uid)
    assert set(found["class"]) <= {"doublet", "PSC"}, "a mark that is not found again keeps its class"
    hits = sum(
        np.abs(found["time_s"][found["sweep"] == s][None] - t[:, None]).min(1).__lt__(5e-3).sum()
        for s, t in enumerate(truth)
    )
    assert hits >= 19 and len(found) <= 24
    assert "15 accepted" in panel.marks.text(), "marks that taught stay marks"


def test_verdicts_are_carried_to_what_is_found_again() -> None:
    former, found = np.zeros(3, EVENT_DTYPE), np.zeros(2, EVENT_DTYPE)
    former["time_s"], found["time_s"] = [0.1, 0.2, 0.3], [0.101, 0.302]
    events = match_verdicts(reviewed(former, ["accept", "accept", "reject"]), found, 5e-3)
    assert events["time_s"].tolist() == [0.101, 0.2, 0.302]
    assert events["verdict"].tolist() == ["accept", "accept", "reject"]


def test_a_head_taught_on_other_weights_is_refused_in_words(dock: TraceDock, tmp_path: Path) -> None:
    errors: list[BaseException] = []
    dock.teaching.failed.connect(errors.append)
    one = np.zeros(1)
    AdaptedHead(
        "psc", ["PSC"], np.hanning(20), 9, 0, 0.3, one, one + 1, np.zeros((1, 2)), 0.5, "0" * 64
    ).save(tmp_path / "old.safetensors")
    dock.teaching.load(tmp_path / "old.safetensors")
    dock.teaching.load(tmp_path / "absent.safetensors")
    assert dock.teaching.head is None
    assert "other stock weights" in str(errors[0]) and "absent" in str(errors[1])
    assert read_card(STOCK)["sha256"] != "0" * 64


def test_teaching_without_marks_says_what_to_do(dock: TraceDock) -> None:
    messages: list[str] = []
    dock.teaching.message.connect(messages.append)
    dock.session.add_recording(doublets()[0], "doublets")
    dock.teaching.teach("psc", "", False)
    assert "Accept some events first" in messages[0] and dock.teaching.head is None


def test_the_forecast_is_drawn_from_the_click_and_meets_what_came(dock: TraceDock, qtbot: Any) -> None:
    t = np.arange(20_000) / RATE
    slow = 10 * np.sin(2 * np.pi * 40 * t) + np.random.default_rng(0).normal(0, 0.5, len(t))
    dock.session.add_recording(Recording.from_arrays(slow.astype(np.float32), RATE, "pA"), "sine")
    panel = dock.forecast_panel
    dock.show_panel(panel)
    qtbot.wait(50)
    qtbot.mouseClick(panel.on, Qt.MouseButton.LeftButton, pos=QPoint(8, panel.on.height() // 2))
    assert panel.on.isChecked() and "Click a moment" in panel.message.text()
    qtbot.mouseClick(dock.plots.canvas.viewport(), Qt.MouseButton.LeftButton, pos=place(dock, 1.5))
    qtbot.waitUntil(lambda: dock.forecasting.ahead is not None)
    ahead = dock.forecasting.ahead
    assert ahead is not None and ahead.time_s[0] == pytest.approx(1.5, abs=0.02)
    assert ahead.quantiles.shape == (7, 64) and ahead.covered > 0.6
    came = slow[round(ahead.time_s[0] * RATE) :][:64]
    assert np.abs(ahead.quantiles[3] - came).mean() < 2
    assert "inside the 90 % band" in panel.message.text()
    start, stop = dock.plots.span()
    assert stop - start < 0.1, "zoomed in to where the band can be seen"
    panel.horizon.setValue(128)
    assert dock.forecasting.ahead is not None and len(dock.forecasting.ahead.time_s) == 128
    panel.on.toggle()
    assert dock.forecasting.ahead is None


def test_surprise_becomes_a_recording(dock: TraceDock) -> None:
    x = np.random.default_rng(1).normal(0, 1, 8192).astype(np.float32)
    x[4000:4060] -= 30
    dock.session.add_recording(Recording.from_arrays(x, RATE, "pA"), "one event")
    dock.forecasting.surprise()
    made = dock.session.recordings["one event (surprise)"].recording
    values = made.values(0, 0)
    assert made.channels[0].unit == "sd" and len(values) == 8192
    assert abs(int(np.argmax(np.convolve(values, np.ones(40), "same"))) - 4030) < 200
