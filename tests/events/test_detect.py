"""Detection over recordings: which channels, what table, which presets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.events.detect import detect_events, provenance_of
from napari_biofm.events.table import from_csv, join, to_csv
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.simulate import current_clamp, voltage_clamp, write_abf
from napari_biofm.types import (
    MEASURED_DTYPE,
    DetectionSettings,
    Detector,
    RecordingError,
    no_events,
    run_task,
)


def hits(found: np.ndarray, truth: np.ndarray, tolerance: float) -> tuple[float, float]:
    distance = np.abs(found[:, None] - truth[None, :])
    return float((distance.min(0) < tolerance).mean()), float((distance.min(1) < tolerance).mean())


@pytest.fixture
def patch(tmp_path: Path) -> Recording:
    trace = current_clamp(np.arange(0.2, 4.8, 0.31), 5.0, seed=0)
    trigger = np.zeros_like(trace.values)
    trigger[::1000] = 5.0
    return read_recording(
        write_abf(
            tmp_path / "cc.abf",
            [trace.values, trace.command, trigger],
            ["Vm", "Icmd", "Frames"],
            ["mV", "pA", "V"],
            trace.sampling_rate,
        )
    )


def test_commands_and_triggers_are_not_searched(patch: Recording) -> None:
    assert signal_channels(patch) == [0]


def test_every_action_potential_is_found_and_nothing_else(patch: Recording) -> None:
    table = run_task(detect_events(patch, "threshold"))
    assert set(table["class"]) == {"AP"}
    assert hits(table["time_s"], np.arange(0.2, 4.8, 0.31), 0.001) == (1.0, 1.0)
    assert np.all((table["amplitude"] > 60) & (table["amplitude"] < 110))


def test_synaptic_currents_of_both_signs_are_found() -> None:
    trace = voltage_clamp(20.0, seed=2)
    recording = Recording.from_arrays(trace.values.astype(np.float32), trace.sampling_rate, "pA")
    table = run_task(detect_events(recording, "threshold"))
    recall, precision = hits(table["time_s"], trace.event_times, 0.005)
    assert recall > 0.8
    assert precision > 0.8
    assert set(table["class"]) == {"PSC"}  # without potentials nothing says more
    assert set(table["direction"]) == {"inward", "outward"}
    potentials = {"holding_mv": -40.0, "excitatory_mv": 0.0, "inhibitory_mv": -75.0}
    named = run_task(detect_events(recording, "threshold", DetectionSettings(options=potentials)))
    assert set(named["class"][named["direction"] == "inward"]) == {"EPSC"}
    assert set(named["class"][named["direction"] == "outward"]) == {"IPSC"}


def test_the_precise_preset_keeps_fewer_and_all_scores_more() -> None:
    trace = voltage_clamp(20.0, seed=2)
    recording = Recording.from_arrays(trace.values.astype(np.float32), trace.sampling_rate, "pA")

    def count(**settings: object) -> int:
        return len(run_task(detect_events(recording, "threshold", DetectionSettings(**settings))))

    assert count(preset="precise") <= count() <= count(all_scores=True)


def test_steps_tell_where_the_work_is(patch: Recording) -> None:
    steps = list(detect_events(patch, "threshold"))
    assert steps[-1].done == steps[-1].total == 1
    assert "Vm" in steps[-1].message


@pytest.mark.parametrize("name", list(DETECTORS))
def test_every_detector_is_one_and_is_quiet_where_there_is_nothing(name: str) -> None:
    detector = make_detector(name)
    assert isinstance(detector, Detector)
    assert detector.name == name
    for values in (np.zeros(5000), np.full(5000, np.nan), np.zeros(3), np.zeros(0)):
        recording = Recording.from_arrays(values.astype(np.float32), 20_000.0, "pA")
        assert len(run_task(detect_events(recording, name))) == 0


def test_an_unknown_detector_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecordingError, match="No detector 'oracle'; there are: .*threshold"):
        make_detector("oracle")


def test_a_table_survives_its_file(tmp_path: Path, patch: Recording) -> None:
    table = run_task(detect_events(patch, "threshold"))
    path = tmp_path / "events.csv"
    path.write_text(to_csv(table))
    back = from_csv(path)
    assert back.dtype == table.dtype == MEASURED_DTYPE
    for column in MEASURED_DTYPE.names:
        if table[column].dtype.kind == "f":
            np.testing.assert_allclose(back[column], table[column], rtol=1e-4, atol=1e-4)
        else:
            assert back[column].tolist() == table[column].tolist()


def test_an_empty_table_keeps_its_header(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text(to_csv(no_events()))
    assert path.read_text() == "sweep,channel,time_s,class,score,amplitude,unit,rise_s,decay_s\n"
    assert len(from_csv(path)) == 0
    assert len(join([])) == 0


def test_a_file_that_is_no_event_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("label,area\n1,2\n")
    with pytest.raises(RecordingError, match="cells.csv: not an event table, columns missing: sweep"):
        from_csv(path)


def test_what_was_asked_of_a_detector_is_noted_for_the_session() -> None:
    settings = DetectionSettings(kind="psc", preset="precise")
    noted = provenance_of("threshold", settings, list(range(100)))
    assert noted == {"detector": "threshold", "kind": "psc", "preset": "precise", "channels": list(range(64))}
    assert len(provenance_of("physio-fm", settings, [0])["weights_sha256"]) == 64
