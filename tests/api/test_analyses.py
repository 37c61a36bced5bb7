"""Step curves, readings and averages: the same from a script, the command line and the dock's core."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.events.table import to_csv
from napari_biofm.signals import Recording
from napari_biofm.simulate import write_abf
from napari_biofm.types import EVENT_DTYPE

FS = 10_000.0


@pytest.fixture
def trace() -> np.ndarray:
    """Ten events of 20 pA on a current that grows by 5 pA/s."""
    t = np.arange(20_000) / FS
    values = 5.0 * t
    for at in np.arange(0.1, 2.0, 0.19):
        since = np.arange(len(t)) - round(at * FS)
        values += np.where(since >= 0, 20 * np.exp(-since / FS / 0.004), 0.0)
    return values


@pytest.fixture
def events(trace: np.ndarray) -> np.ndarray:
    times = np.arange(0.1, 2.0, 0.19)
    table = np.zeros(len(times), EVENT_DTYPE)
    table["time_s"], table["class"], table["unit"], table["amplitude"], table["score"] = (
        times,
        "IPSC",
        "pA",
        20,
        1,
    )
    return table


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_readings_are_those_of_the_samples(trace: np.ndarray, tmp_path: Path) -> None:
    path = write_abf(tmp_path / "cell.abf", [trace], ["Im"], ["pA"], FS)
    (reading,) = biofm.readings(path, 0.02, 0.08)
    span = biofm.read_recording(path).values(0, 0, 200, 801)
    assert reading.mean == pytest.approx(span.mean(), abs=1e-3)
    assert reading.slope == pytest.approx(5.0, rel=0.02)
    assert main(["read", str(path), "--from", "0.02", "--to", "0.08", "--out", str(tmp_path / "r.csv")]) == 0
    header, row = rows(tmp_path / "r.csv")
    assert float(row[header.index("mean")]) == pytest.approx(reading.mean)
    assert float(row[header.index("slope_per_s")]) == pytest.approx(reading.slope)


def test_the_averaged_event_has_the_size_of_the_events(
    trace: np.ndarray, events: np.ndarray, tmp_path: Path
) -> None:
    recording = Recording.from_arrays(trace.astype(np.float32), FS, "pA")
    averaged = biofm.average_event(recording, events, name="IPSC")
    assert averaged.n == 10
    assert averaged.peak == pytest.approx(20.0, rel=0.02)
    assert biofm.average_event(recording, events, name="EPSC").n == 0
    path = write_abf(tmp_path / "cell.abf", [trace], ["Im"], ["pA"], FS)
    (tmp_path / "events.csv").write_text(to_csv(events))
    call = ["average", str(path), "--events", str(tmp_path / "events.csv"), "--out", str(tmp_path / "a.csv")]
    assert main(call) == 0
    table = rows(tmp_path / "a.csv")
    assert table[0] == ["time_s", "mean (pA)", "sd (pA)"]
    assert max(float(row[1]) for row in table[1:]) == pytest.approx(averaged.peak, rel=0.01)


def test_a_step_curve_measures_every_sweep(events: np.ndarray, tmp_path: Path) -> None:
    sweeps = np.stack([np.full(2000, level, np.float32) for level in (-10.0, 0.0, 25.0)])
    recording = Recording.from_arrays(sweeps[:, None], FS, "mV")
    curve = biofm.step_curve(recording, 0.05, 0.1)
    assert curve.y.tolist() == [-10.0, 0.0, 25.0] and curve.labels == ("Sweep", "Mean of channel 0 (mV)")
    counted = biofm.step_curve(recording, 0.0, 0.2, measure="Events per second", events=events)
    assert counted.y.tolist() == [5.0, 0.0, 0.0]
    with pytest.raises(biofm.RecordingError, match="No measure 'Median'"):
        biofm.step_curve(recording, 0.0, 0.1, measure="Median")
