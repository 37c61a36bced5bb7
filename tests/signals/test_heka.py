"""Commands of HEKA bundles: rebuilt where the format says how, else unknown, and never guessed."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.signals.heka_bundles import Record, bundle, output, segment

from napari_biofm.cli import main
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.readers.heka_stimulus import Output, output_of
from napari_biofm.signals.readers.heka_waves import UnknownCommandError

RATE = 10_000.0
HOLD = segment(source=1)  # 0.1 s at the holding level
SINE, SQUARE, CHIRP = 3, 4, 5


def _rebuilt(record: Record, *segments: Record) -> Output:
    found = output_of("<", [(record, segments)], "A", 0)
    assert found is not None and found.unit == "mV"
    return found


def _open(folder: Path, *outputs: tuple[Record, list[Record]], n: int = 3000) -> Recording:
    path = folder / "bundle.dat"
    path.write_bytes(bundle([np.arange(n)] * 2, RATE, outputs))
    return read_recording(path)


def test_levels_ramps_and_their_increments() -> None:
    ramp = [HOLD, segment(1, 0.03, step=0.01), segment(level=-0.04)]
    values = _rebuilt(output(), *ramp).values(1, 3000, RATE)
    assert values[0] == values[999] == -70
    assert values[1999] == pytest.approx(40) and values[1499] == pytest.approx(-15) and values[2500] == -40
    relative = _rebuilt(output(flags=3), *ramp).values(0, 3000, RATE)
    assert relative[2500] == pytest.approx(-110)
    with pytest.raises(UnknownCommandError, match=r"0\.3 s of a sweep of 0\.5 s"):
        _rebuilt(output(), *ramp).values(0, 5000, RATE)
    assert output_of("<", [(output(), ramp)], "V", 0) is None, "volts are not commanded by volts"


def test_a_segment_that_was_not_recorded_takes_no_time_but_a_ramp_starts_at_it() -> None:
    for stored in (0, 2, 3):
        parts = [segment(level=-0.1, stored=stored), segment(1, 0.0)]
        values = _rebuilt(output(), *parts).values(0, 1000, RATE)
        assert values[0] == pytest.approx(-99.9) and values[-1] == pytest.approx(0)


def test_a_sine_rides_on_the_level_of_its_segment() -> None:
    sine = output(flags=1 | 8, wave={96: 0.02, 104: 0.01})  # 50 Hz, 10 mV, also used for lock-in
    values = _rebuilt(sine, HOLD, segment(SINE, -0.05), HOLD).values(0, 3000, RATE)
    t = np.arange(1000) / RATE
    np.testing.assert_allclose(values[1000:2000], -50 + 10 * np.sin(2 * np.pi * 50 * t), atol=1e-4)
    assert (values[:1000] == -70).all() and (values[2000:] == -70).all()
    held = _rebuilt(sine, segment(SINE, 0.3, source=1)).values(0, 1000, RATE)
    assert held.mean() == pytest.approx(-70, abs=1e-3), "about the holding level"


def test_a_square_wave_has_equal_halves() -> None:
    square = output(wave={232: 0.01, 240: 0.02})
    values = _rebuilt(square, segment(SQUARE, 0.0)).values(0, 1000, RATE)
    assert set(np.unique(values)) == {-20.0, 20.0}
    assert (np.flatnonzero(np.diff(values)) + 1).tolist() == list(range(50, 1000, 50))
    assert values[0] == 20, "the positive half first"


@pytest.mark.parametrize("exponential", [False, True])
def test_a_chirp_goes_from_its_first_to_its_last_frequency(exponential: bool) -> None:
    chirp = output(wave={120: 2.0, 128: 80.0, 184: 0.02, 198: int(exponential)})  # 20 mV from peak to peak
    values = _rebuilt(chirp, segment(CHIRP, 0.0, 4.0)).values(0, 40_000, RATE)
    assert abs(values).max() == pytest.approx(10, abs=0.01) and values[0] == 0 < values[1]
    crossings = (np.flatnonzero(np.diff(np.signbit(values[1:]))) + 1) / RATE
    frequency = 0.5 / np.diff(crossings)
    assert frequency[-5:].mean() == pytest.approx(80, rel=0.03)
    middle = np.interp(2.0, (crossings[1:] + crossings[:-1]) / 2, frequency)
    assert middle == pytest.approx(np.sqrt(2.0 * 80) if exponential else 41, rel=0.05)


@pytest.mark.parametrize(
    ("record", "parts", "why"),
    [
        (output(flags=5), [HOLD], "template file"),
        (output(flags=1 | 16), [HOLD], "undocumented"),
        (output(flags=0), [HOLD], "undocumented"),
        (output(), [segment(source=2)], "parameter"),
        (output(), [segment(step=0.01, mode=4)], "multiply or alternate"),
        (output(), [segment(9)], "class 9"),
        (output(), [segment(level=float("nan"))], "nan"),
        (output(), [segment(stored=0)], "none of its segments"),
        (output()[:100], [segment(SINE)], "lacks"),
        (output(), [segment(SINE)], "cycle of 0"),
        (output(wave={96: 0.02, 104: 0.01, 193: 1}), [segment(SINE)], "kind 1"),
        (output(wave={96: 0.02, 104: 0.01}), [segment(SINE, step=0.01)], "from sweep to sweep"),
        (output(wave={232: 0.01, 240: 0.02, 152: 0.5}), [segment(SQUARE)], "unequal halves"),
        (output(wave={232: 0.01, 240: 0.02, 224: 0.001}), [segment(SQUARE)], "rising base"),
        (output(wave={120: 1.0, 128: 9.0, 184: 0.02, 198: 2}), [segment(CHIRP)], "kind 2"),
        (output(wave={120: 0.0, 128: 9.0, 184: 0.02, 198: 1}), [segment(CHIRP)], "exponential chirp from 0"),
    ],
)
def test_what_the_format_does_not_say_is_unknown_with_a_reason(
    record: Record, parts: list[Record], why: str
) -> None:
    with pytest.raises(UnknownCommandError, match=why):
        output_of("<", [(record, parts)], "A", 0)


def test_a_whole_bundle_comes_with_its_command(tmp_path: Path) -> None:
    sine = output(wave={96: 0.02, 104: 0.01})
    recording = _open(tmp_path, (sine, [HOLD, segment(SINE, -0.05), HOLD]))
    assert (recording.format, recording.n_sweeps, recording.command_unknown) == ("HEKA", 2, "")
    command = recording.command(1, 0)
    assert command is not None and command.unit == "mV" and len(command.values) == 3000
    assert command.values.max() == pytest.approx(-40, abs=0.01)
    np.testing.assert_array_equal(recording.values(0, 0), np.arange(3000, dtype=np.float32))


def _with_traces(content: bytes, *patches: tuple[int, str, tuple[float, ...]]) -> bytes:
    """Return a bundle with fields of its traces overwritten: offset, format, one value per trace."""
    damaged, position = bytearray(content), 0
    for number in range(content.count(b"Imon")):
        position = content.index(b"Imon", position + 1)
        for offset, form, values in patches:
            struct.pack_into(f"<{form}", damaged, position - 4 + offset, values[number])
    return bytes(damaged)


def test_a_gain_that_changes_between_sweeps_is_applied_sweep_by_sweep(tmp_path: Path) -> None:
    path = tmp_path / "gains.dat"
    content = bundle([np.arange(100), np.arange(100)], RATE, [])
    path.write_bytes(_with_traces(content, (72, "d", (1e-12, 5e-12))))
    recording = pickle.loads(pickle.dumps(read_recording(path)))  # our own object
    np.testing.assert_allclose(recording.values(0, 0), np.arange(100), rtol=1e-6)
    np.testing.assert_allclose(recording.values(1, 0), 5 * np.arange(100), rtol=1e-6)


def test_what_was_measured_as_zero_is_not_subtracted(tmp_path: Path) -> None:
    path = tmp_path / "zero.dat"
    path.write_bytes(_with_traces(bundle([np.arange(100)], RATE, []), (88, "d", (3e-12,))))
    assert read_recording(path).values(0, 0)[7] == pytest.approx(7)


def test_traces_in_blocks_between_each_other_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "blocks.dat"
    samples = np.arange(100, dtype="<i2")
    mixed = np.stack(
        [samples.reshape(-1, 10), -samples.reshape(-1, 10)], axis=1
    ).ravel()  # 10 of each in turn
    content = bundle([mixed[:100], mixed[100:]], RATE, [], trace_bytes=304)
    patches = [(40, "i", (256, 276)), (44, "i", (95, 95)), (292, "i", (20, 20)), (296, "i", (40, 40))]
    path.write_bytes(_with_traces(content, *patches))
    recording = pickle.loads(pickle.dumps(read_recording(path)))  # our own object
    for sweep, sign in ((0, 1), (1, -1)):
        np.testing.assert_array_equal(recording.values(sweep, 0), sign * samples[:95])
        np.testing.assert_array_equal(recording.values(sweep, 0, 7, 33), sign * samples[7:33])


def test_an_unknown_command_is_said_where_people_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = _open(tmp_path, (output(flags=5), [HOLD] * 3))
    assert recording.command(0, 0) is None and "template file" in recording.command_unknown
    main(["info", str(recording.path)])
    assert "command: unknown (Imon: a template file" in capsys.readouterr().out
    short = _open(tmp_path, (output(), [HOLD]))
    assert short.command(0, 0) is None and "0.1 s of a sweep of 0.3 s" in short.command_unknown
    absent = _open(tmp_path)
    assert absent.command(0, 0) is None and absent.command_unknown == "", "nothing was commanded"
