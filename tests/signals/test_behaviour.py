"""A behaviour signal: read from tables as they are written, crossings against numbers that are worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.actions import SetBehaviour, from_record
from napari_biofm.cli import main
from napari_biofm.session import Session
from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.nwb_read import read_nwb_session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import snapshot
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import (
    Behaviour,
    behaviour_events,
    behaviour_of,
    behaviour_samples,
    read_behaviour,
    threshold_crossings,
    with_behaviour,
)
from napari_biofm.types import RecordingError, SessionError


def test_crossings_lie_between_samples_and_short_ones_do_not_count() -> None:
    values = np.array([0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 3, 3, 3, 0, 3, 3], float)
    assert threshold_crossings(values, 10.0, 1.0).tolist() == pytest.approx(
        [0.125, 0.95, 1.4 + 0.1 / 3, 1.9 + 0.1 / 3]
    )
    assert threshold_crossings(values, 10.0, 1.0, least_s=0.3).tolist() == pytest.approx(
        [0.125, 1.4 + 0.1 / 3]
    )
    falling = threshold_crossings(values, 10.0, 1.0, falling=True)
    assert falling.tolist() == pytest.approx([0.575, 1.05, 1.8 + 0.2 / 3])
    assert threshold_crossings(values + 2, 10.0, 1.0).tolist() == []  # it begins beyond
    values[1] = np.nan
    assert len(threshold_crossings(values, 10.0, 1.0)) == 3  # nobody saw the first one begin


def test_a_table_of_speed_is_read_with_its_unit_its_pauses_and_its_start(tmp_path: Path) -> None:
    t = np.concatenate([np.arange(5, 15, 0.05), np.arange(20, 30, 0.05)])
    speed = np.where((t > 8.01) & (t < 10) | (t > 25.01), 12.0, 0.0)
    path = tmp_path / "speed.csv"
    path.write_text(
        "time_s,speed (cm/s)\n" + "\n".join(f"{a:.3f},{b}" for a, b in zip(t, speed, strict=True))
    )
    read = read_behaviour(path)
    assert read.channels[0].unit == "cm/s" and read.channels[0].sampling_rate == 20.0
    at = behaviour_events(read, Behaviour(offset_s=100.0, threshold=6.0))
    assert at.tolist() == pytest.approx([108.025, 125.025], abs=1e-6)
    seconds, values = behaviour_samples(read, Behaviour())
    assert seconds[0] == 5.0 and seconds[-1] == pytest.approx(29.95) and np.isnan(values).sum() == 1
    assert behaviour_events(read, Behaviour()).tolist() == []
    path.write_text(path.read_text().replace("speed (cm/s)", "speed"))
    assert read_behaviour(path).channels[0].unit == "a.u."


def test_uneven_times_are_brought_to_one_rate_and_long_gaps_stay_open(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.02, 0.08, 800))
    t[400:] += 3.0
    path = tmp_path / "wheel.csv"
    path.write_text("time (ms);wheel\n" + "\n".join(f"{1e3 * a:.2f};{np.sin(a):.6f}" for a in t))
    read = read_behaviour(path)
    seconds, values = behaviour_samples(read, Behaviour())
    known = np.isfinite(values)
    assert np.abs(values[known] - np.sin(seconds[known])).max() < 0.01
    gap = (seconds > t[399] + 0.1) & (seconds < t[400] - 0.1)
    assert np.isnan(values[gap]).all() and known[~gap].mean() > 0.99
    assert "uneven times" in read.metadata["resampled"]


def test_what_cannot_be_a_behaviour_signal_is_refused(tmp_path: Path) -> None:
    recording = Recording.from_arrays(np.zeros(100), 10.0, "cm/s")
    with pytest.raises(RecordingError, match="channel 2 of recording is asked for; it has 0 to 0"):
        with_behaviour(recording, Behaviour(channel=2))
    with pytest.raises(RecordingError, match="finite"):
        with_behaviour(recording, Behaviour(threshold=float("nan")))
    with pytest.raises(RecordingError, match="does not exist"):
        read_behaviour(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_text("time,speed\n0,1\n1,2\n2,3\n")
    with pytest.raises(RecordingError, match="does not say whether it is in s or ms"):
        read_behaviour(tmp_path / "x.csv")


def test_setting_it_is_an_edit_that_sessions_and_nwb_keep(tmp_path: Path) -> None:
    session = Session()
    (tmp_path / "speed.csv").write_text(
        "time_s,speed\n" + "\n".join(f"{i / 10},{i % 40}" for i in range(400))
    )
    uid = session.add_recording(read_behaviour(tmp_path / "speed.csv"), "speed.csv")
    chosen = Behaviour(0, 1.5, 20.0, True, 0.2)
    action = SetBehaviour(uid, None, chosen)
    session.do(from_record(action.record()))
    assert behaviour_of(session.recordings[uid].recording) == chosen
    with pytest.raises(SessionError, match="changed in another way"):
        session.do(action)
    folder = tmp_path / "one.biofm"
    save_session(folder, snapshot(session))
    again = load_session(folder).recordings[uid]
    assert behaviour_of(again) == chosen
    assert np.array_equal(
        behaviour_events(again, chosen), behaviour_events(session.recordings[uid].recording, chosen)
    )
    path = write_nwb(tmp_path / "one.nwb", snapshot(session))
    assert behaviour_of(read_nwb_session(path).recordings[uid]) == chosen
    session.undo()
    assert behaviour_of(session.recordings[uid].recording) is None


def test_cells_that_follow_behaviour_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    at = np.array([20.0, 45.0, 80.0, 110.0, 150.0, 171.0])
    t = np.arange(0, 200, 0.1)
    speed = sum(10.0 * ((t >= s) & (t < s + 4)) for s in at) + rng.normal(0, 0.2, len(t))
    (tmp_path / "speed.csv").write_text(
        "time_s,speed (cm/s)\n" + "\n".join(f"{a - 3:.3f},{b:.3f}" for a, b in zip(t, speed, strict=True))
    )  # its second 0 is second 3 of the traces
    frames = np.arange(0, 200, 0.1)
    values = rng.normal(0, 0.1, (6, len(frames)))
    for s in at:
        values[:2] += 0.8 * ((frames >= s) & (frames < s + 2))
    traces = Recording.from_arrays(values.astype(np.float32), 10.0, "dF/F", labels=range(1, 7))
    given = {"behaviour": str(tmp_path / "speed.csv"), "threshold": 5, "offset_s": 3, "shuffles": 300}
    found = biofm.analyse("responsive-cells", traces, **given)
    assert found.table["responsive"].tolist() == [True, True, False, False, False, False]
    assert "respond to 6 stimuli where speed goes above 5 cm/s" in found.summary
    assert (found.table["trials"] == 6).all() and found.table["response"][:2] == pytest.approx(0.8, abs=0.1)
    np.savez(tmp_path / "t.npz", dff=values, labels=np.arange(1, 7), frame_rate=10.0)
    command = ["responsive-cells", str(tmp_path / "t.npz"), "--behaviour", str(tmp_path / "speed.csv")]
    assert main([*command, "--out", str(tmp_path / "r.csv")]) == 1
    assert "Give its threshold" in capsys.readouterr().err
