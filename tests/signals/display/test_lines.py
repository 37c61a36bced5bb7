"""What the plots of a recording draw: sweeps, layouts, lines, marks, all without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.signals import Recording, Tag
from napari_biofm.signals.display import Line, ScaleMode, SweepMode, TraceLines, TraceSource
from napari_biofm.signals.display.layout import joined, parse_sweeps, sweeps_shown, y_ranges
from napari_biofm.signals.display.source import bar_rectangles, extremes
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.types import EVENT_DTYPE, RecordingError, run_task


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
    seen, raw = source.line(0, 0, 5, 15, 20_000), source.recording.values(0, 0, 5000, 15_001)
    assert seen is not None and seen.values.std() < 0.5 < raw.std()
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
    assert y_ranges([(0.0, 0.0)], ["pA"], ScaleMode.BY_CHANNEL) == [(-1.0, 1.0)]


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


def _lines(recording: Recording, mode: SweepMode = SweepMode.ONE) -> TraceLines:
    lines = TraceLines()
    lines.set_recording(recording, FilterSettings())
    lines.mode, lines.channels = mode, [0]
    return lines


def test_places_on_the_axis_and_times_of_the_recording_are_inverse() -> None:
    recording = Recording.from_arrays(
        np.zeros((3, 100)), 1000.0, "pA", tags=(Tag(0.15, "drug"), Tag(0.25, "wash"))
    )
    one = _lines(recording)
    one.set_sweep(1)
    assert one.place_of(0.15) == pytest.approx(0.05) and one.place_of(0.05) is None
    assert one.seconds_at(0.05) == pytest.approx(0.15)
    assert [(round(at, 3), tag.comment) for at, tag in one.tag_places()] == [(0.05, "drug")]
    in_time = _lines(recording, SweepMode.IN_TIME)
    assert in_time.place_of(0.25) == 0.25 and in_time.seconds_at(0.25) == pytest.approx(0.25)
    assert [tag.comment for _, tag in in_time.tag_places()] == ["drug", "wash"]


def test_events_are_marked_in_the_current_sweep_or_where_their_sweep_lies_in_time() -> None:
    recording = Recording.from_arrays(np.zeros((3, 1000)), 1000.0, "pA")
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"], events["channel"] = [0, 1, 1, 2], [0.5, 0.2, 0.9, 0.4], [0, 0, 1, 0]
    lines = _lines(recording)
    lines.set_sweep(1)
    assert lines.events_in_view(events, 0, 0, 1)[0].tolist() == [1]
    assert lines.events_in_view(events, 0, 0.3, 1)[0].tolist() == []
    rows, places = _lines(recording, SweepMode.IN_TIME).events_in_view(events, 0, 1, 3)
    assert rows.tolist() == [1, 3] and places.tolist() == pytest.approx([1.2, 2.4])


def test_readings_of_all_channels_are_of_the_current_sweep() -> None:
    sweeps = [[np.full(100, 1.0 + s), np.full(100, 10.0 + s)] for s in range(2)]
    lines = _lines(Recording.from_arrays(sweeps, 1000.0, ["pA", "mV"]))
    lines.channels = [1, 0]
    lines.set_sweep(1)
    assert [reading.mean for reading in lines.readings(0.02, 0.05)] == [11, 2]
    assert lines.readings(5.0, 6.0) == []


def test_the_command_fits_into_its_range_with_a_margin() -> None:
    lines = _lines(_sweeps_with_command(), SweepMode.OVERLAY)
    lines.channels = [0]
    assert lines.commanded() == (0, "mV")
    assert lines.command_range(0) == pytest.approx((-26, 46))
    lines.channels = [0, 1]
    assert lines.commanded() is None, "it has a plot of its own"


def test_bars_are_rectangles_of_a_pixel_at_least() -> None:
    values = np.array([0, 0, 1, 5, np.nan, np.nan], np.float32)
    line = Line(np.repeat([0.0, 1.0, 2.0], 2), values, bars=True)
    np.testing.assert_allclose(bar_rectangles(line, 0.5), [[0, -0.25, 1, 0.5], [1, 1, 1, 4]])


def test_a_text_names_sweeps() -> None:
    assert parse_sweeps("0-2, 1, 5", 6) == [0, 1, 2, 5] and parse_sweeps(" ", 6) is None
    for text in ("6", "2-1", "a", "-1"):
        with pytest.raises(RecordingError, match="give numbers from 0 to 5"):
            parse_sweeps(text, 6)


def test_a_moment_is_brought_into_view_only_where_it_is_not_well_in_view() -> None:
    lines = _lines(Recording.from_arrays(np.zeros((2, 10_000)), 1000.0, "pA"))
    assert lines.span_around(0, 5.0, (0.0, 10.0)) == pytest.approx((4.75, 5.25)), (
        "all is in view: it zooms in"
    )
    assert lines.span_around(0, 5.0, (4.75, 5.25)) is None
    assert lines.span_around(0, 8.0, (4.0, 6.0)) == pytest.approx((7.0, 9.0)), "the width is kept"


def test_the_next_sweep_is_the_next_chosen_one() -> None:
    lines = _lines(Recording.from_arrays(np.zeros((6, 100)), 1000.0, "pA"))
    assert lines.neighbour(1) == 1 and lines.neighbour(-1) == 0
    lines.chosen = [0, 3, 5]
    assert lines.neighbour(1) == 3
    lines.set_sweep(5)
    assert lines.neighbour(1) == 5 and lines.neighbour(-2) == 0
