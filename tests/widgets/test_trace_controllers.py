"""The controllers of the trace dock without a window: what they do to a session, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.controllers.common.analysing import Analysing
from napari_biofm.controllers.trace.analyses import Analyses
from napari_biofm.controllers.trace.cells_controller import CellsController
from napari_biofm.controllers.trace.events_controller import EventsController
from napari_biofm.controllers.trace.exporting import Exports
from napari_biofm.controllers.trace.forecasting import Forecasting
from napari_biofm.controllers.trace.movie_traces import MovieTraces
from napari_biofm.controllers.trace.recordings_controller import RecordingsController
from napari_biofm.controllers.trace.sources import TAKES, TraceSources
from napari_biofm.controllers.trace.teaching import Teaching
from napari_biofm.engine import InlineEngine
from napari_biofm.selection import CellKey
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.calcium import TraceSettings
from napari_biofm.signals.display import SweepMode, TraceLines
from napari_biofm.signals.export import methods
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE

RATE = 10_000.0


def listen(signal: Any, callback: Callable[..., Any]) -> None:
    """Connect for as long as the session lives."""
    signal.connect(callback)


def runner(session: Session) -> Callable[..., Any]:
    """Return what runs a job at once in the session's engine."""

    def run(function: Any, *args: Any, on_end: Any = None, on_step: Any = None, **options: Any) -> Any:
        job = session.engine.submit(function, *args, **options)
        if on_end is not None:
            on_end()
        return job

    return run


def steps() -> Recording:
    """Return three sweeps of current and recorded command."""
    sweeps = [[np.full(5000, 2.0 * v), np.full(5000, float(v))] for v in (-80, -60, -40)]
    return Recording.from_arrays(sweeps, RATE, ["pA", "mV"], names=["I", "V command"])


class Scene:
    """A session with a recording of three events, shown."""

    def __init__(self) -> None:
        self.session = Session(InlineEngine())
        self.run = runner(self.session)
        self.recordings = RecordingsController(
            self.session, listen=listen, add=self.session.add_recording, read=lambda path: steps()
        )
        self.lines = TraceLines()
        self.lines.set_recording(steps(), FilterSettings())
        self.lines.channels = [0, 1]
        self.uid = self.session.add_recording(steps(), "steps")
        events = np.zeros(3, EVENT_DTYPE)
        events["sweep"], events["time_s"] = [0, 1, 2], [0.2, 0.21, 0.22]
        events["class"], events["score"], events["unit"] = "EPSC", 0.9, "pA"
        self.session.set_events(self.uid, events, {"detector": "by hand"})

    def events(self) -> EventsController:
        return EventsController(
            self.session, shown=self.recordings, channels=lambda: [0], run=self.run, listen=listen
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def heard(signal: Any) -> list[Any]:
    """Return a list that fills with what a signal emits."""
    received: list[Any] = []
    signal.connect(lambda *values: received.append(values[0] if len(values) == 1 else values))
    return received


def test_a_new_recording_is_shown_and_the_latest_one_when_it_is_closed(scene: Scene) -> None:
    shown, listed = heard(scene.recordings.shown), heard(scene.recordings.listed)
    scene.session.add_recording(steps(), "second")
    assert scene.recordings.uid == "second" and listed[-1] == ["steps", "second"]
    scene.recordings.close()
    assert scene.recordings.uid == "steps" and shown == [False, False]
    scene.recordings.close()
    assert scene.recordings.uid is None and scene.recordings.recording is None


def test_a_unit_put_right_keeps_the_view_and_can_be_undone(scene: Scene) -> None:
    shown = heard(scene.recordings.shown)
    scene.recordings.set_unit(0, "nA")
    scene.recordings.set_unit(0, "nA")
    assert scene.recordings.recording is not None and scene.recordings.recording.channels[0].unit == "nA"
    scene.session.undo()
    assert scene.recordings.recording.channels[0].unit == "pA" and shown == [True, True]


def test_a_file_is_read_shown_and_given_up_without_a_trace(scene: Scene, tmp_path: Path) -> None:
    scene.recordings.open(tmp_path / "a.abf")
    assert len(scene.session.recordings) == 2 and scene.recordings.uid != scene.uid


def test_edits_say_where_their_event_stands_and_are_taken_back(scene: Scene) -> None:
    events = scene.events()
    changed, rows, history = heard(events.changed), heard(events.edited_row), heard(events.history_changed)
    events.add(1, 0, 0.4, "IPSC")
    assert rows == [2] and changed[-1]["class"].tolist() == ["EPSC", "EPSC", "IPSC", "EPSC"]
    events.move(1, 0.45)
    assert rows == [2, 2] and changed[-1]["time_s"].tolist() == [0.2, 0.4, 0.45, 0.22]
    events.judge([0], "reject")
    assert history[-1] == ("reject", False)
    events.undo()
    assert changed[-1]["class"][0] == "EPSC" and history[-1] == ("move event", True)
    events.redo()
    assert changed[-1]["class"][0] == "rejected"


def test_an_event_outside_the_sweep_is_refused_in_words(scene: Scene) -> None:
    events = scene.events()
    failed = heard(events.failed)
    events.add(1, 0, 7.0, "IPSC")
    assert "ends at" in str(failed[0]) and len(events.events) == 3


def test_detection_notes_its_settings_and_tells_when_it_is_busy(scene: Scene) -> None:
    events = scene.events()
    busy = heard(events.busy)
    events.detect("threshold", "psc", "precise")
    table = scene.session.event_table(scene.uid)
    assert busy == [True, False]
    assert dict(table.provenance) == {
        "detector": "threshold", "kind": "psc", "preset": "precise", "channels": [0]
    }  # fmt: skip


def test_options_are_noted_and_an_unknown_one_is_told_before_anything_runs(scene: Scene) -> None:
    events = scene.events()
    busy, failed = heard(events.busy), heard(events.failed)
    events.detect("threshold", "psc", "balanced", "sgima=6")
    events.detect("threshold", "psc", "balanced", "sigma=high")
    assert busy == [] and len(events.events) == 3
    assert "did you mean 'sigma'" in str(failed[0]) and "NAME=NUMBER" in str(failed[1])
    events.detect("threshold", "psc", "balanced", "sigma=6, sign=-1")
    provenance = scene.session.event_table(scene.uid).provenance
    assert busy == [True, False] and provenance["options"] == {"sigma": 6.0, "sign": -1.0}


def test_nothing_is_looked_for_without_a_recording() -> None:
    session = Session(InlineEngine())
    shown = RecordingsController(session, listen=listen, add=session.add_recording, read=lambda path: None)
    events = EventsController(session, shown=shown, channels=list, run=runner(session), listen=listen)
    messages = heard(events.message)
    events.detect("threshold", "psc", "balanced")
    assert "Open a recording first" in messages[0] and len(events.events) == 0


def test_marks_of_this_recording_or_of_all_are_counted(scene: Scene) -> None:
    teaching = Teaching(scene.session, shown=scene.recordings, run=scene.run, listen=listen)
    counted = heard(teaching.marks_counted)
    scene.events().judge([0, 1], "accept")
    assert counted[-1] == (2, 0, 2)
    scene.session.add_recording(steps(), "second")
    assert counted[-1] == (0, 0, 0)
    teaching.set_everywhere(True)
    assert counted[-1] == (2, 0, 2) and len(teaching.marked("mine")) == 2
    assert teaching.head is None and teaching.kind == "auto"


def test_analyses_get_the_shown_recording_and_the_times_of_the_cursors_in_its_sweep(scene: Scene) -> None:
    places: list[list[tuple[float, float]]] = [[]]
    sources = TraceSources(
        scene.session, shown=scene.recordings, lines=scene.lines, cursors=lambda: places[0]
    )
    made = Analysing(TAKES, source=sources.source, run=scene.run)
    results, failures = heard(made.done), heard(made.failed)
    assert "from" not in sources.offers() and sources.offers()["class"] == ["", "EPSC"]
    assert sources.offers()["channel"] == ["0: I (pA)", "1: V command (mV)"]
    made.run("steps", {})
    assert results == [], "the command holds, and there are no cursors"
    made.run("steps", {"start_s": 0.1, "stop_s": 0.3})
    assert "Slope 2 pA/mV" in results[0].summary
    scene.lines.mode = SweepMode.IN_TIME
    scene.lines.set_sweep(1)
    places[0] = [(0.6, 0.8)]
    offers = sources.offers()
    assert (offers["from"], offers["to"]) == (["0.1"], ["0.3"])
    made.run("steps", {"start_s": "0.1", "stop_s": "0.3", "measure": "rate"})
    assert list(results[1].table.values())[1].tolist() == pytest.approx([5, 5, 5]), "events of the session"
    made.run("average", {"name": "EPSC"})
    made.run("histogram", {"of": "amplitude"})
    assert "3 events" in results[2].summary and "3 values" in results[3].summary
    made.run("histogram", {"name": "AP"})
    assert len(results) == 4, "there are none of this class"
    made.run("histogram", {"bins": "many"})
    assert "give a number" in str(failures[0])
    assert made.command == "napari-biofm histogram recording --out table.csv"


def test_quality_and_copies_go_where_they_are_asked(scene: Scene) -> None:
    analyses = Analyses(scene.session, shown=scene.recordings, lines=scene.lines, run=scene.run)
    reports, messages = heard(analyses.quality_measured), heard(analyses.message)
    analyses.measure(1)
    assert reports[0][0].unit == "mV"
    analyses.make_copy(FilterSettings())
    assert "Choose a filter" in messages[0]
    analyses.make_copy(FilterSettings(lowpass=100))
    assert list(scene.session.recordings) == ["steps", "steps (filtered)"]


def test_samples_in_view_are_those_of_the_current_sweep(scene: Scene, tmp_path: Path) -> None:
    exports = Exports(
        scene.session, shown=scene.recordings, lines=scene.lines, span=lambda: (0.1, 0.1002),
        filters=FilterSettings, save_figure=lambda path: None, run=scene.run,
    )  # fmt: skip
    messages = heard(exports.message)
    scene.lines.set_sweep(2)
    exports.write("samples", tmp_path / "s.csv")
    rows = (tmp_path / "s.csv").read_text().splitlines()
    assert rows[0] == '"time_s","I (pA)","V command (mV)"' and rows[1] == "0.1,-80,-40" and len(rows) == 4
    assert messages == ["Written: s.csv"]
    exports.write("events_csv", tmp_path / "absent" / "e.csv")
    assert "3 sweeps" in exports.methods_text()


def test_a_forecast_needs_a_moment_inside_the_sweep(scene: Scene) -> None:
    forecasting = Forecasting(
        scene.session, shown=scene.recordings, lines=scene.lines, run=scene.run, listen=listen
    )
    notes = heard(forecasting.note)
    forecasting.set_options(True, 16)
    forecasting.choose(9.0)
    forecasting.set_options(False, 16)
    assert notes == ["Click a moment of the trace.", "Click inside the sweep: a forecast needs a past.", ""]
    assert forecasting.ahead is None


class _Layers:
    """A movie of two cells and their masks."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self._data = {"m": np.random.default_rng(0).random((60, 20, 20)).astype(np.float32)}
        self._data["c"] = np.zeros((20, 20), int)
        self._data["c"][3:8, 3:8], self._data["c"][12:17, 10:15] = 1, 2

    def movies(self) -> list[tuple[str, str]]:
        return [("movie", "m")]

    def masks(self) -> list[tuple[str, str]]:
        return [("cells", "c")]

    def frames(self, uid: str) -> Any:
        return self._data.get(uid)

    def plane(self, uid: str) -> Any:
        return self._data.get(uid)

    def rate(self, uid: str) -> float | None:
        return self.rates.get(uid)

    def dark(self, uid: str) -> float | None:
        return 0.1

    def volumes(self, uid: str) -> None:
        return None

    def atlas(self, uid: str) -> None:
        return None

    def layer_and_part(self, uid: str) -> tuple[str, str]:
        return uid, ""

    def add_movie(self, frames: Any, name: str, like: str) -> None:
        self.added = (frames, name, like)


def test_cells_of_a_movie_become_a_recording_and_closed_layers_are_told(scene: Scene) -> None:
    layers = _Layers()
    movies = MovieTraces(scene.session, layers=layers, run=scene.run, listen=listen)
    notes, offered = heard(movies.note), heard(movies.offered)
    movies.update()
    assert offered[-1][:2] == ([("movie", "m")], [("cells", "c")]) and offered[-1][4] == {"m": None}
    movies.make("m", "c", "movie", None, TraceSettings())
    assert "never guessed" in notes[-1]
    movies.make("m", "c", "movie", 10.0, TraceSettings())
    assert notes[-1].startswith("2 cells, 60 frames.") and "Dark level 0.1" in notes[-1]
    recording = scene.recordings.recording
    assert recording is not None and recording.n_channels == 2
    assert recording.measured_on == MeasuredOn("m", "c")
    movies.make("m", "gone", "movie", 10.0, TraceSettings())
    assert "closed" in notes[-1]


def test_a_movie_whose_motion_was_corrected_becomes_a_layer(scene: Scene) -> None:
    layers = _Layers()
    movies = MovieTraces(scene.session, layers=layers, run=scene.run, listen=listen)
    notes = heard(movies.note)
    movies.correct("m", "movie", "rigid")
    frames, name, like = layers.added
    assert frames.shape == (60, 20, 20) and (name, like) == ("movie, motion corrected", "m")
    assert "The field moved by up to" in notes[-1]


def test_measuring_again_replaces_and_the_users_rate_goes_before_clock_and_file(scene: Scene) -> None:
    layers = _Layers()
    movies = MovieTraces(scene.session, layers=layers, run=scene.run, listen=listen)
    notes, offered = heard(movies.note), heard(movies.offered)
    layers.rates["m"] = 5.0
    movies.update()
    assert offered[-1][4] == {"m": 5.0}
    movies.make("m", "c", "movie", None, TraceSettings())
    scene.session.set_clock("m", Clock.from_rate(60, 30.0))
    assert offered[-1][4] == {"m": pytest.approx(30.0)}
    n = len(scene.session.recordings)
    movies.make("m", "c", "movie", None, TraceSettings())
    assert "The file says 5 Hz, but that of the clock is used: 30 Hz." in notes[-1]
    movies.make("m", "c", "movie", 20.0, TraceSettings())
    assert len(scene.session.recordings) == n, "the former traces are replaced"
    assert scene.recordings.recording is not None
    assert scene.recordings.recording.channels[0].sampling_rate == 20.0
    assert "The clock says 30 Hz; the file says 5 Hz, but the rate that was typed" in notes[-1]


def test_cells_picked_here_are_selected_everywhere_and_the_other_way_round(scene: Scene) -> None:
    cells = Recording.from_arrays(np.zeros((30, 50)), 20.0, "dF/F", labels=np.arange(1, 31))
    scene.session.set_layers(labels="masks")
    scene.session.add_recording(cells, "cells")
    controller = CellsController(scene.session, shown=scene.recordings, lines=scene.lines, listen=listen)
    chosen = heard(controller.channels_chosen)
    controller.channels_chosen.connect(lambda channels: setattr(scene.lines, "channels", channels))
    controller.pick(7, add=False)
    controller.pick(3, add=True)
    assert chosen == [[7], [7, 3]] and scene.session.selection.labels == {8, 4}
    scene.session.select([CellKey("masks", 12), CellKey("masks", 5)])
    assert chosen[-1] == [4, 11]


def test_how_good_detection_is_goes_into_the_events_and_the_methods_and_can_be_undone() -> None:
    scene = Scene()
    session, rng = scene.session, np.random.default_rng(1)
    x = 2 * rng.normal(size=60_000)
    wave = np.exp(-np.arange(400) / 60) - np.exp(-np.arange(400) / 5)
    for a in range(1500, 58_000, 3000):
        x[a : a + 400] -= 40 * wave
    uid = session.add_recording(Recording.from_arrays([[x]], RATE, ["pA"]), "currents")
    events = scene.events()
    said: list[str] = []
    events.assessed.connect(said.append)
    events.detect("threshold", "psc", "balanced")
    events.assess("threshold", "psc", "balanced")
    table = session.event_table(uid)
    assert len(table.events) == 19 and table.provenance["detector"] == "threshold"
    assert said[-1] == "\n".join(table.provenance["quality"]) and "95 % from" in said[-1]
    assert scene.recordings.recording is not None
    text = methods(scene.recordings.recording, FilterSettings(), table.events, table.provenance)
    assert said[-1] in text and "quality =" not in text
    session.undo()
    assert "quality" not in session.event_table(uid).provenance and len(session.events(uid)) == 19
