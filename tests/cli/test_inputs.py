"""What the command line says of units, channels and epochs before it computes, and what mends it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.cli import main

RATE = 10_000.0


def run(*args: Any) -> int:
    return main([str(a) for a in args])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _volts(n: int = 12_000) -> np.ndarray:
    """mV, with action potentials."""
    volts = -65 + np.random.default_rng(0).normal(0, 0.2, n)
    shape = 90 * np.exp(-(((np.arange(60) - 20) / 6.0) ** 2))
    for at in range(1500, n - 100, 2600):
        volts[at : at + 60] += shape
    return volts


@pytest.fixture
def clamped(tmp_path: Path) -> Path:
    """A table with time, current and a recorded, noisy command of -5 mV: 10 MOhm, 190 MOhm, 100 pF."""
    rng = np.random.default_rng(1)
    t = np.arange(12_000) / RATE
    volts = np.full(12_000, -70.0)
    volts[3000:6000] -= 5
    access, membrane = 10.0, 190.0
    tau = 100e-12 * 9.5e6
    steady = -5e3 / (access + membrane)
    current = np.zeros(12_000)
    current[3000:6000] = steady + (-5e3 / access - steady) * np.exp(-t[:3000] / tau)
    current[6000:] -= (-5e3 / access - steady) * np.exp(-t[:6000] / tau)
    columns = np.column_stack([t, current + rng.normal(0, 1, 12_000), volts + rng.normal(0, 0.1, 12_000)])
    path = tmp_path / "clamped.csv"
    np.savetxt(path, columns, "%.5f", ",", header="time (s),Im (pA),signal 2 (mV)", comments="")
    return path


def test_a_wrong_unit_is_told_with_the_word_unit_and_mended(tmp_path: Path, capsys: Any) -> None:
    np.savez(tmp_path / "a.npz", signal=_volts() * 1e-3, sampling_rate=RATE, unit="mV")
    out = tmp_path / "a.csv"
    assert run("events", tmp_path / "a.npz", "--detector", "classical", "--out", out) == 0
    said = capsys.readouterr().err
    assert "unit" in said and "--unit V" in said
    assert run("events", tmp_path / "a.npz", "--detector", "prominence", "--unit", "V", "--out", out) == 0
    assert "unit" not in capsys.readouterr().err
    assert [row["class"] for row in _rows(out)] == ["AP"] * 4


def test_what_is_not_searched_is_said_and_can_be_asked_for(
    clamped: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "events.csv"
    assert run("events", clamped, "--detector", "threshold", "--kind", "psc", "--out", out) == 0
    said = capsys.readouterr().err
    assert "channel 1 (signal 2, mV) is not searched" in said and "--channel all" in said
    assert (
        run("events", clamped, "--detector", "threshold", "--kind", "psc", "--channel", "all", "--out", out)
        == 0
    )
    assert "not searched" not in capsys.readouterr().err
    assert run("events", clamped, "--channel", "7", "--out", out) == 1


def test_epochs_and_membrane_of_a_recorded_command(clamped: Path, tmp_path: Path) -> None:
    assert run("epochs", clamped, "--out", tmp_path / "epochs.csv") == 0
    used = [row for row in _rows(tmp_path / "epochs.csv") if row["used"] == "1"]
    assert [(row["epoch"], row["kind"], row["source"]) for row in used] == [("A", "step", "recorded")]
    assert float(used[0]["start_s"]) == pytest.approx(0.3, abs=1e-3)
    assert run("membrane", clamped, "--most-access", 5, "--out", tmp_path / "m.csv") == 0
    (row,) = _rows(tmp_path / "m.csv")
    assert float(row["access_MOhm"]) == pytest.approx(10, rel=0.05)
    assert float(row["membrane_MOhm"]) == pytest.approx(190, rel=0.03)
    assert float(row["capacitance_pF"]) == pytest.approx(100, rel=0.05)
    assert row["excluded"] == "1" and "access" in row["reason"]
    events = tmp_path / "none.csv"
    events.write_text("sweep,channel,time_s,class,score,amplitude,unit,rise_s,decay_s\n")
    assert run("features", clamped, "--events", events, "--out", tmp_path / "f.csv") == 0
    (table,) = _rows(tmp_path / "f.csv")
    for name in ("access_MOhm", "membrane_MOhm", "capacitance_pF"):
        assert float(table[f"test_{name}"]) == pytest.approx(float(row[name]), rel=1e-5), (
            "one number everywhere"
        )
    assert (table["epoch_name"], float(table["epoch_level_mV"])) == ("A", pytest.approx(-75, abs=0.1))
    assert run("features", clamped, "--events", events, "--epoch", "C", "--out", tmp_path / "f.csv") == 1


def test_a_rate_against_the_times_of_the_file_is_an_error(clamped: Path, tmp_path: Path, capsys: Any) -> None:
    assert run("info", clamped, "--sampling-rate", 5000) == 1
    assert "column of time says 10000 Hz" in capsys.readouterr().err


def test_datasets_are_chosen_by_name(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in (("vm", _volts()), ("im", np.zeros(12_000))):
            file[name] = values
            file[name].attrs["sampling_rate"], file[name].attrs["unit"] = RATE, "mV" if name == "vm" else "pA"
    out = tmp_path / "o.csv"
    assert run("events", tmp_path / "a.h5", "--detector", "prominence", "--out", out) == 1
    assert run("events", tmp_path / "a.h5", "--dataset", "vm", "--detector", "prominence", "--out", out) == 0
    assert len(_rows(out)) == 4
    assert run("info", tmp_path / "a.h5", "--dataset", "nothing") == 1
