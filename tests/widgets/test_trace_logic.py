"""The parts of the trace dock that need no window: edits, layout, readings, step plots."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_biofm.session import Session
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.types import EVENT_DTYPE, RecordingError, run_task
from napari_biofm.widgets.trace.cursors import read_between
from napari_biofm.widgets.trace.iv_panel import step_curve
from napari_biofm.widgets.trace.layout import ScaleMode, SweepMode, joined, sweeps_shown, y_ranges
from napari_biofm.widgets.trace.lines import TraceLines
from napari_biofm.widgets.trace.scalebars import round_length, with_prefix
from napari_biofm.widgets.trace.source import Line, TraceSource, extremes


@pytest.fixture
def editor() -> EventEditor:
    session = Session()
    recording = Recording.from_arrays(np.tile(np.arange(1000.0), (3, 1)), 1000, "pA")
    uid = session.add_recording(recording, "r")
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [0, 0, 1, 2], [0.1, 0.5, 0.2, 0.3]
    events["class"], events["score"] = ["EPSC", "EPSC", "IPSC", "AP"], [0.9, 0.6, 0.8, 0.7]
    session.set_events(uid, events, {"detector": "threshold"})
    return EventEditor(session, uid)


def _undo_all(editor: EventEditor) -> None:
    while editor._session.history.undo_name not in ("", "detect"):
        editor._session.history.undo()


def test_every_edit_can_be_undone_exactly(editor: EventEditor) -> None:
    before, review = editor.events.copy(), editor.review
    editor.add(1, 0, 0.25, "EPSC")
    editor.judge([0, 3], "reject")
    editor.move(1, 0.61)
    editor.reclass([2], "AP")
    editor.judge([0], "accept")
    editor.delete([0, 2, 4])
    assert len(editor.events) == 2
    _undo_all(editor)
    np.testing.assert_array_equal(editor.events, before)
    assert editor.review == review
    while editor._session.history.redo():
        pass
    assert len(editor.events) == 2


def test_an_added_event_lands_in_order_with_the_sample_as_its_amplitude(editor: EventEditor) -> None:
    row = editor.add(1, 0, 0.25, "EPSC")
    assert row == 3 and editor.events[3]["amplitude"] == 250 and editor.review[3] == "accept"
    with pytest.raises(RecordingError, match="ends at"):
        editor.add(1, 0, 5.0, "EPSC")
    with pytest.raises(RecordingError, match="no class"):
        editor.add(1, 0, 0.5, "blip")


def test_rejecting_keeps_the_class_for_the_way_back(editor: EventEditor) -> None:
    editor.judge([0], "reject")
    assert editor.events[0]["class"] == "rejected" and editor.review[0] == "reject"
    editor.judge([0], "accept")
    assert editor.events[0]["class"] == "EPSC" and editor.review[0] == "accept"


def test_the_log_of_an_edit_is_small(editor: EventEditor) -> None:
    rows: list[dict] = []
    editor._session.history.recorded.connect(rows.append)
    editor.judge([2], "unclear")
    assert len(rows) == 1
    row = rows[0]
    assert (row["action"], row["recording"], row["removed_at"], row["added"]["verdict"]) == (
        "unclear",
        "r",
        [2],
        ["unclear"],
    )
    assert len(json.dumps(row)) < 1500


def test_two_hundred_sweeps_are_drawn_around_the_current_one() -> None:
    assert sweeps_shown(7, 3, SweepMode.ONE) == [3]
    assert sweeps_shown(7, 3, SweepMode.OVERLAY) == list(range(7))
    shown = sweeps_shown(1000, 500, SweepMode.OVERLAY)
    assert len(shown) == 200 and 500 in shown


def _source(values: np.ndarray, rate: float = 1000) -> TraceSource:
    source = TraceSource(Recording.from_arrays(values, rate, "pA"))
    run_task(source.prepare(range(source.recording.n_sweeps), [0]))
    return source


def test_sweeps_are_joined_with_gaps_and_lie_where_they_belong() -> None:
    source = _source(np.arange(30.0).reshape(3, 10))
    over = joined(source, [0, 1, 2], 0, 0, 1, 100, SweepMode.OVERLAY)
    assert np.isnan(over.values).sum() == 3 and over.times.max() == pytest.approx(0.009)
    stacked = joined(source, [0, 1, 2], 0, 0, 1, 100, SweepMode.STACKED, 100.0)
    assert stacked.values[11] == 10 - 100
    in_time = joined(source, [0, 1, 2], 0, 0, 1, 100, SweepMode.IN_TIME)
    assert in_time.times[11] == pytest.approx(0.010)
    assert len(joined(source, [0, 1, 2], 0, 0.5, 1, 100, SweepMode.IN_TIME).times) == 0


def test_bars_and_lines_hold_the_same_extrema() -> None:
    values = np.random.default_rng(0).normal(size=(1, 50_000))
    source = _source(values)
    for bars in (False, True):
        line = source.line(0, 0, 10.0, 40.0, 500, bars=bars)
        there = values[0, 10_000:40_001].astype(np.float32)
        assert line is not None and line.bars is bars
        assert (line.values.min(), line.values.max()) == (there.min(), there.max())
        assert (np.diff(line.times) >= 0).all()


def test_a_display_filter_leaves_the_data_alone_and_stops_where_it_would_be_slow() -> None:
    rng = np.random.default_rng(0)
    source = _source(rng.normal(size=(1, 20_000)))
    source.filters = FilterSettings(lowpass=20)
    seen, raw = source.line(0, 0, 5, 15, 20_000), source.span(0, 0, 5, 15)
    assert seen is not None and seen.values.std() < 0.5 < raw.values.std()
    assert source.shows_filter(0, 20) and not source.shows_filter(0, 500)


def test_scale_modes_relate_the_axes() -> None:
    extrema, units = [(0.0, 10.0), (100.0, 102.0), (0.0, 1.0)], ["pA", "pA", "mV"]
    real = y_ranges(extrema, units, ScaleMode.REAL)
    assert real[0] == real[1] and real[0][0] <= 0 and real[0][1] >= 102
    same = y_ranges(extrema, units, ScaleMode.SAME)
    assert same[0][1] - same[0][0] == pytest.approx(same[1][1] - same[1][0]) and same[1][0] > 90
    own = y_ranges(extrema, units, ScaleMode.BY_CHANNEL)
    assert own[1][1] - own[1][0] < 3
    assert y_ranges([None], ["pA"], ScaleMode.REAL) == [(-1.0, 1.0)]


def test_a_thinned_line_keeps_every_extreme() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 100_007).astype(np.float32)
    values[[51_234, 77_777]] = 90, -90
    values[300:310] = np.nan
    line = extremes(Line(np.arange(len(values)) / 1e4, values), 5000)
    assert len(line.values) <= 5100 and (np.diff(line.times) >= 0).all()
    assert np.nanmax(line.values) == 90 and np.nanmin(line.values) == -90
    for start in range(0, 100_000, 1000):
        here = (line.times >= start / 1e4) & (line.times < (start + 1000) / 1e4)
        assert np.nanmax(line.values[here]) == np.nanmax(values[start : start + 1000])


def test_cursors_measure_slope_mean_and_rms() -> None:
    times = np.arange(1001) / 1000
    reading = read_between(times, (3 * times + 2).astype(np.float32), "I", "pA")
    assert reading is not None
    assert (reading.slope, reading.mean) == (pytest.approx(3, rel=1e-4), pytest.approx(3.5, rel=1e-4))
    assert reading.rms == pytest.approx(3 / np.sqrt(12), rel=0.01)
    assert "dt 1000 ms" in reading.text
    assert read_between(times, np.full(1001, np.nan, np.float32), "I", "pA") is None


def test_steps_are_plotted_against_the_recorded_command() -> None:
    sweeps = [[np.full(100, 2.0 * v), np.full(100, float(v))] for v in (-80, -60, -40)]
    recording = Recording.from_arrays(sweeps, 1000, ["pA", "mV"], names=["I", "V command"])
    x, y, unit = step_curve(recording, 0, 0.02, 0.05)
    assert (x.tolist(), y.tolist(), unit) == ([-80, -60, -40], [-160, -120, -80], "mV")
    alone = Recording.from_arrays(np.ones((2, 100)), 1000, "pA")
    assert step_curve(alone, 0, 0.02, 0.05)[0].tolist() == [0, 1]


def test_scale_bars_have_round_lengths() -> None:
    assert [round_length(v) for v in (3.0, 10.0, 0.24)] == [0.5, 2.0, pytest.approx(0.02)]
    assert [with_prefix(v) for v in (2.0, 0.05, 2e-6)] == ["2 s", "50 ms", "2 us"]


def test_commands_of_all_sweeps_that_are_drawn_are_drawn_too() -> None:
    recording = _sweeps_with_command()
    lines = TraceLines()
    lines.set_recording(recording, FilterSettings())
    assert len(lines.stimuli(0).times) == 0
    lines.mode = SweepMode.IN_TIME
    lines.forget()
    times, values, _ = lines.stimuli(0)
    assert np.nanmin(values) == -20 and np.nanmax(values) == 40 and np.isnan(values).sum() == 3
    assert times[-1] > recording.sweep_starts[2]
    lines.chosen = [1]
    lines.forget()
    assert np.nanmin(lines.stimuli(0).values) == np.nanmax(lines.stimuli(0).values) == 10


def _sweeps_with_command() -> Recording:
    sweeps = [[np.zeros(100), np.full(100, -20.0 + 30 * i)] for i in range(3)]
    return Recording.from_arrays(sweeps, 1000.0, ["pA", "mV"], names=["I", "V command"])
