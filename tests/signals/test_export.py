"""What is exported is what was seen, and says how it came about."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import Recording, nwb_icephys, read_recording
from napari_biofm.signals.export import methods, write_events, write_nwb, write_samples
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.types import EVENT_DTYPE, Events, RecordingError, Trace, no_events


def _events() -> Events:
    rows = [
        (0, 0, 0.125, "EPSC", 0.9, -20.5, "pA", 0.001, 0.005),
        (1, 0, 0.25, "rejected", 0.2, 1.0, "pA", 0, 0),
    ]
    return np.array(rows, EVENT_DTYPE)


def test_events_as_csv_keep_every_column_and_the_review(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    write_events(path, _events(), ["accept", "reject"])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*EVENT_DTYPE.names, "review"]
    assert (rows[0]["class"], float(rows[0]["amplitude"]), rows[1]["review"]) == ("EPSC", -20.5, "reject")


def test_an_empty_table_keeps_its_header(tmp_path: Path) -> None:
    write_events(tmp_path / "none.csv", no_events())
    assert (tmp_path / "none.csv").read_text().startswith("sweep,channel,time_s,class")


def test_events_as_parquet_come_back_with_their_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_events(tmp_path / "e.parquet", _events(), metadata={"detector": "threshold"})
    table = parquet.read_table(tmp_path / "e.parquet")
    assert table["time_s"].to_pylist() == [0.125, 0.25]
    assert table.schema.metadata[b"detector"] == b"threshold"
    with pytest.raises(RecordingError, match=r"\.csv or \.parquet"):
        write_events(tmp_path / "e.xls", _events())


def test_samples_of_a_span_are_written_with_units(tmp_path: Path) -> None:
    recording = Recording.from_arrays(
        [[np.arange(100.0), np.arange(100.0) * 2]], 10, ["pA", "mV"], names=["I", "V"]
    )
    assert write_samples(tmp_path / "s.csv", recording, 0, [0, 1], 1.0, 2.0) == 11
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == '"time_s","I (pA)","V (mV)"' and lines[1] == "1,10,20"
    with pytest.raises(RecordingError, match="rows"):
        write_samples(tmp_path / "s.csv", recording, 0, [0], 50, 60)


def test_exported_samples_can_be_opened_again(tmp_path: Path) -> None:
    recording = Recording.from_arrays([[np.arange(100.0), np.arange(100.0) * 2]], 10, ["pA", "mV"])
    write_samples(tmp_path / "s.csv", recording, 0, [0, 1], 0.0, 9.9)
    back = read_recording(tmp_path / "s.csv", sampling_rate=10.0)
    assert [(c.name, c.unit) for c in back.channels] == [("channel 0", "pA"), ("channel 1", "mV")]
    np.testing.assert_array_equal(back.values(0, 1), np.arange(100) * 2)


def test_the_methods_paragraph_states_what_was_put_right_and_done_by_hand(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Vm (pA)\n1\n2\n3\n")
    recording = read_recording(tmp_path / "t.csv", sampling_rate=250.0).with_channel(
        0, unit="mV", factor=0.05
    )
    text = methods(
        recording, FilterSettings(), _events(), {"by_hand": {"add event": 2, "move event": 0}, "was": [""]}
    )
    for part in (
        "Opened with sampling_rate = 250", "Vm (pA) was put right as Vm (mV), values times 0.05",
        "Edits by hand: add event (2).", "Software: napari-biofm",
    ):  # fmt: skip
        assert part in text
    assert "was =" not in text and "move" not in text
    traces = Recording.from_arrays(
        np.zeros((2, 9)), 10, "dF/F", labels=[1, 2], metadata={"settings": {"neuropil_factor": 0.7}}
    )
    assert "Traces: neuropil_factor = 0.7." in methods(traces, FilterSettings(), _events()[:0], {})


def test_the_methods_paragraph_states_filters_counts_and_settings() -> None:
    recording = Recording.from_arrays(np.zeros((2, 100)), 1000, "pA", protocol="IV steps")
    text = methods(
        filtered(recording, FilterSettings(highpass=2)),
        FilterSettings(lowpass=100),
        _events(),
        {"detector": "threshold", "preset": "balanced", "threshold": 4.0},
        ["accept", ""],
    )
    for part in (
        "IV steps", "2 sweeps", "1000 Hz", "high-pass filtered at 2 Hz", "low-pass filtered at 100 Hz",
        "1 EPSC", "1 were rejected", "threshold = 4", "preset = balanced", "reviewed by hand (1 accept)",
    ):  # fmt: skip
        assert part in text


def test_long_sweeps_are_written_to_nwb_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pynwb = pytest.importorskip("pynwb")
    monkeypatch.setattr(nwb_icephys, "CHUNK", 1 << 7)
    values = np.arange(5000, dtype=np.float32)
    values[1000:1200] = np.nan
    write_nwb(tmp_path / "long.nwb", Recording.from_arrays(values, 1000, "pA"))
    assert not pynwb.validate(path=str(tmp_path / "long.nwb"))
    np.testing.assert_allclose(read_recording(tmp_path / "long.nwb").values(0, 0), values, rtol=1e-5)


def test_nwb_written_is_nwb_read(tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    values = np.random.default_rng(0).normal(0, 20, (2, 50)).astype(np.float32)
    write_nwb(tmp_path / "out.nwb", Recording.from_arrays(values, 1000, "pA"), _events())
    back = read_recording(tmp_path / "out.nwb")
    np.testing.assert_allclose(back.values(0, 0), values[0], rtol=1e-5)
    assert back.channels[0].unit == "pA"


@dataclass(frozen=True)
class Steps:
    """A step command whose level changes from sweep to sweep."""

    unit: str

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        wave = np.full(400, -70.0, np.float32)
        wave[100:300] += 10 * sweep
        return Trace(wave, 1000.0, self.unit, sweep, channel) if channel == 0 else None


def test_nwb_keeps_clamps_electrodes_stimuli_and_their_names(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    rng = np.random.default_rng(0)
    current = rng.normal(-50, 4, (3, 400)).astype(np.float32)
    trigger = np.zeros((3, 400), np.float32)
    trigger[:, 50:60] = 5
    recording = Recording.from_arrays(
        [[i, t] for i, t in zip(current, trigger, strict=True)], 1000, ["pA", "V"], names=["Im (cell 1)", "TTL"],
        protocol="IV curve", command_source=Steps("mV"), sweep_starts=[0.0, 1.5, 3.0],
    )  # fmt: skip
    path = tmp_path / "out.nwb"
    write_nwb(path, recording)
    assert not pynwb.validate(path=str(path))
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        series = nwb.acquisition["sweep0001_00_Im__cell_1"]
        assert type(series).__name__ == "VoltageClampSeries" and series.electrode is not None
        assert series.stimulus_description == "IV curve"
        assert type(nwb.stimulus["command0001_00"]).__name__ == "VoltageClampStimulusSeries"
        assert type(nwb.acquisition["sweep0000_01_TTL"]).__name__ == "TimeSeries"
        table = nwb.intracellular_recordings
        assert len(table) == 3 and table["stimuli"]["stimulus"][1].timeseries is not None
        assert nwb.subject is None and "placeholder" in nwb.session_description, (
            "nobody and no date is invented"
        )
    back = read_recording(path)
    assert back.t0 is None and back.protocol == "IV curve"
    assert [(c.name, c.unit) for c in back.channels] == [("Im (cell 1)", "pA"), ("TTL", "mV")]
    assert back.sweep_starts.tolist() == [0.0, 1.5, 3.0]
    for sweep in range(3):
        np.testing.assert_allclose(back.values(sweep, 0), current[sweep], rtol=2e-7)
        told, there = recording.command(sweep, 0), back.command(sweep, 0)
        assert told is not None and there is not None and there.unit == "mV"
        np.testing.assert_allclose(there.values, told.values, rtol=1e-6)
    assert back.command(0, 1) is None
