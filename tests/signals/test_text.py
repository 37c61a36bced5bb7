"""Tables as instruments and spreadsheets write them; what they say of time and units is believed, or told to be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import read_recording
from napari_biofm.types import RecordingError

RATE = 10_000.0


def _table(rows: int = 50, start: float = 0.0) -> str:
    times = start + np.arange(rows) / RATE
    return "".join(f"{t:.4f},{-70 + 0.1 * i:.1f},{i}\n" for i, t in enumerate(times))


def _written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_column_of_time_gives_the_rate(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", "time (s),Vm (mV),Im (pA)\n" + _table())
    recording = read_recording(path)
    assert [c.sampling_rate for c in recording.channels] == [RATE, RATE]
    assert [(c.name, c.unit) for c in recording.channels] == [("Vm", "mV"), ("Im", "pA")]
    assert recording.values(0, 1).tolist() == list(range(50))
    assert read_recording(path, sampling_rate=RATE).channels[0].sampling_rate == RATE


def test_a_rate_that_contradicts_the_times_is_an_error(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", "time (s),Vm (mV),Im (pA)\n" + _table())
    with pytest.raises(RecordingError, match=r"column of time says 10000 Hz.*20000"):
        read_recording(path, sampling_rate=20_000)


@pytest.mark.parametrize(
    ("header", "factor"),
    [("Time [ms]", 1e3), ("t_ms", 1e3), ("time_us", 1e6), ("Zeit (s)", 1.0), ("t (min)", 1 / 60)],
)
def test_times_in_other_units(tmp_path: Path, header: str, factor: float) -> None:
    rows = "".join(f"{i / RATE * factor:.9g}\t{i}\n" for i in range(40))
    recording = read_recording(_written(tmp_path / "a.tsv", f"{header}\tIm (pA)\n{rows}"))
    assert recording.channels[0].sampling_rate == pytest.approx(RATE)
    assert recording.n_channels == 1


def test_a_column_of_time_without_a_unit_asks(tmp_path: Path) -> None:
    rows = "".join(f"{i * 0.1:.1f},{i}\n" for i in range(40))
    path = _written(tmp_path / "a.csv", f"time,Im (pA)\n{rows}")
    with pytest.raises(RecordingError, match=r"s or ms.*sampling_rate"):
        read_recording(path)
    assert read_recording(path, sampling_rate=10_000).channels[0].sampling_rate == RATE
    with pytest.raises(RecordingError, match="contradicts"):
        read_recording(path, sampling_rate=7000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_spreadsheets_with_semicolons_and_decimal_commas(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"{i / RATE:.4f};{i * 0.5:.1f}\r\n".replace(".", ",") for i in range(40))
    recording = read_recording(_written(tmp_path / "a.csv", f"Zeit (s);Strom (µA)\r\n{rows}", encoding))
    assert recording.channels[0].unit == "uA" and recording.channels[0].name == "Strom"
    assert recording.values(0, 0)[:4].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert recording.channels[0].sampling_rate == RATE


def test_lines_before_the_header_and_a_line_of_units(tmp_path: Path) -> None:
    text = "Exported by an amplifier\nDate,2026-01-01\n\n# three columns\ntime,Vm,Im\ns,mV,pA\n" + _table()
    recording = read_recording(_written(tmp_path / "a.csv", text))
    assert [(c.name, c.unit) for c in recording.channels] == [("Vm", "mV"), ("Im", "pA")]
    assert recording.n_samples() == 50


def test_time_that_starts_again_or_before_zero_makes_sweeps(tmp_path: Path) -> None:
    text = "time (s),Vm (mV),Im (pA)\n" + _table(30, -0.001) + _table(30, 2.0) + _table(20, 1.0)
    recording = read_recording(_written(tmp_path / "a.csv", text))
    assert recording.sweep_starts.tolist() == pytest.approx([-0.001, 2.0, 1.0])
    assert [recording.n_samples(i) for i in range(3)] == [30, 30, 20]


def test_times_with_few_digits_are_even(tmp_path: Path) -> None:
    rows = "".join(f"{i / 30_000:.4f},{i}\n" for i in range(3000))
    recording = read_recording(_written(tmp_path / "a.csv", f"time (s),Im (pA)\n{rows}"))
    assert recording.channels[0].sampling_rate == pytest.approx(30_000, rel=1e-3)
    assert recording.n_sweeps == 1


def test_uneven_times_are_refused_with_the_row(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 300)) / RATE
    rows = "".join(f"{t:.7f},{i}\n" for i, t in enumerate(times))
    with pytest.raises(RecordingError, match=r"not even.*row"):
        read_recording(_written(tmp_path / "a.csv", f"time (s),Im (pA)\n{rows}"))


def test_a_first_column_that_looks_like_time_is_asked_about(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", _table())
    with pytest.raises(RecordingError, match="looks like time"):
        read_recording(path, unit="mV")
    recording = read_recording(path, unit="mV", sampling_rate=RATE)
    assert recording.n_channels == 2, "with the rate, the column is known to be time"


def test_empty_fields_are_gaps(tmp_path: Path) -> None:
    text = "time (s),Im (pA)\n0,1\n0.1,\n0.2,3\n0.3,nan\n"
    values = read_recording(_written(tmp_path / "a.csv", text)).values(0, 0)
    assert np.isnan(values).tolist() == [False, True, False, True]


def test_words_among_the_numbers_name_the_file(tmp_path: Path) -> None:
    path = _written(
        tmp_path / "a.csv", "time (s),Im (pA)\n" + "".join(f"{i},{i}\n" for i in range(9)) + "9,stop\n"
    )
    with pytest.raises(RecordingError, match=r"a\.csv is no table of numbers"):
        read_recording(path)


def test_a_unit_can_be_put_right_for_any_format(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    volts = -0.065 + 2e-4 * np.random.default_rng(0).standard_normal(5000)
    np.savez(path, signal=volts, sampling_rate=RATE, unit="mV")
    assert read_recording(path).channels[0].unit == "mV"
    assert read_recording(path, unit="V").channels[0].unit == "V"
    two = _written(tmp_path / "a.csv", "time (s),Vm (mV),Im (pA)\n" + _table())
    with pytest.raises(RecordingError, match="say for which"):
        read_recording(two, unit="nA")
    assert [c.unit for c in read_recording(two, unit="1=nA").channels] == ["mV", "nA"]
    with pytest.raises(RecordingError, match="channel 5"):
        read_recording(two, unit="5=nA")


@pytest.mark.parametrize("sign", ["Im_pA", "Im_nA", "Im_mV", "Im_V", "I_m_uA"])
def test_a_unit_at_the_end_of_a_name_is_understood(sign: str, tmp_path: Path) -> None:
    path = tmp_path / "programs.csv"
    path.write_text(f"time_s,{sign},Ch_V2 (mV)\n" + "".join(f"{i / 100},{i},{-i}\n" for i in range(20)))
    recording = read_recording(path)
    name, unit = sign.rsplit("_", 1)
    assert [(c.name, c.unit) for c in recording.channels] == [(name, unit), ("Ch_V2", "mV")]
    assert recording.channels[0].sampling_rate == pytest.approx(100) and recording.values(0, 0)[3] == 3


def test_a_name_that_only_ends_like_a_unit_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("time_s,channel_4_av\n0,1\n0.1,2\n0.2,3\n0.3,4\n")
    with pytest.raises(RecordingError, match="does not state the unit"):
        read_recording(path)
