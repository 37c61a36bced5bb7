"""The numbers of an event are the same wherever they are written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.session import Session
from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.parts import read_events, write_events
from napari_biofm.session.snapshot import Saved
from napari_biofm.signals import export
from napari_biofm.simulate.synaptic import Recorded, Wave, synaptic_trace

NUMBERS = ("time_s", "amplitude", "rise_s", "decay_s", "half_width_s", "area", "baseline", "rise_10_90_s")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_function_command_line_session_exports_and_features_agree(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    truth = synaptic_trace(Wave(0.5e-3, 5e-3), -40.0, Recorded(snr=12, n=8))
    path = tmp_path / "cell.npz"
    np.savez(path, signal=truth.values, sampling_rate=truth.sampling_rate, unit="pA")
    events = biofm.detect_events(path, detector="template", kind="psc")
    assert len(events) == 8
    call = [
        "events",
        str(path),
        "--out",
        str(tmp_path / "cli.csv"),
        "--detector",
        "template",
        "--kind",
        "psc",
    ]
    assert main(call) == 0
    session = Session()
    recording = biofm.read_recording(path)
    uid = session.add_recording(recording, "cell")
    session.set_events(uid, events, {"detector": "template"})
    kept = session.events(uid)
    export.write_events(tmp_path / "dock.csv", kept, [""] * len(kept))
    write_events(tmp_path / "events.parquet", kept)
    write_nwb(tmp_path / "day.nwb", Saved(recordings={uid: recording}, events={uid: kept}))
    with pynwb.NWBHDF5IO(str(tmp_path / "day.nwb"), "r") as file:
        table = file.read().processing["events"]["events"].to_dataframe()
    saved = read_events(tmp_path / "events.parquet")
    for name in NUMBERS:
        for rows in (_rows(tmp_path / "cli.csv"), _rows(tmp_path / "dock.csv")):
            written = [float(row[name]) if row[name] else np.nan for row in rows]
            np.testing.assert_allclose(written, events[name], rtol=1e-5, atol=1e-7)
        for exact in (kept[name], saved[name], table[name].to_numpy()):
            np.testing.assert_array_equal(exact, events[name])
    features = biofm.features(recording, events)
    rows = features["row"] == "event"
    for column, name, factor in (
        ("psc_amplitude_pA", "amplitude", 1), ("psc_decay_ms", "decay_s", 1e3), ("psc_area_pA_ms", "area", 1e3),
        ("psc_rise_20_80_ms", "rise_s", 1e3), ("psc_half_width_ms", "half_width_s", 1e3),
    ):  # fmt: skip
        np.testing.assert_allclose(features[column][rows], events[name] * factor)
    older = biofm.features(
        recording,
        events[["sweep", "channel", "time_s", "class", "score", "amplitude", "unit", "rise_s", "decay_s"]],
    )
    np.testing.assert_allclose(older["psc_amplitude_pA"], features["psc_amplitude_pA"], rtol=0.01)
