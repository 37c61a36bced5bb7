"""Commands are cut where they change, and the epoch that varies across sweeps is the one that is measured in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import bessel, sosfilt

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.epochs import CommandEpoch, number_of
from napari_biofm.signals.segments import pieces
from napari_biofm.signals.steps import epoch_of, epoch_rows, recording_epochs, test_pulses, text_of
from napari_biofm.types import RecordingError, Trace

RATE = 20_000.0
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ephys"


@dataclass(frozen=True)
class Waveforms:
    """Commands of sweeps as a file gives them: `answer(sweep, channel)`."""

    waves: tuple[np.ndarray, ...]
    unit: str

    def __call__(self, sweep: int, channel: int) -> Trace:
        return Trace(self.waves[sweep], RATE, self.unit, sweep, channel)


def _levels(*parts: tuple[int, float]) -> np.ndarray:
    """(samples, level) -> a command."""
    return np.concatenate([np.full(n, level, np.float32) for n, level in parts])


def _recording(waves: list[np.ndarray], unit: str = "pA") -> Recording:
    volts = [np.full(len(wave), -70.0, np.float32) for wave in waves]
    about = Recording.from_arrays([[v] for v in volts], RATE, "mV" if unit == "pA" else "pA")
    return Recording(
        about.channels, about.samples, about.sweep_starts, command_source=Waveforms(tuple(waves), unit)
    )


def _spans(epochs: tuple[CommandEpoch, ...]) -> list[tuple[str, int, int, float]]:
    return [(one.kind, one.start, one.stop, round(one.level, 1)) for one in epochs]


def test_neighbouring_steps_are_two_steps() -> None:
    wave = _levels((4000, 0), (10_000, -100), (4000, 25), (4000, 0))
    (epochs,) = recording_epochs(_recording([wave]), 0).sweeps
    assert _spans(epochs) == [
        ("hold", 0, 4000, 0.0), ("step", 4000, 14_000, -100.0), ("step", 14_000, 18_000, 25.0),
        ("hold", 18_000, 22_000, 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("filtered", [False, True])
def test_recorded_commands_are_cut_at_their_changes_too(noise: float, filtered: bool) -> None:
    wave = _levels((4000, 0), (10_000, -100), (400, 25), (7600, 0)).astype(np.float64)
    if filtered:
        wave = sosfilt(bessel(4, 2000 / (RATE / 2), output="sos", norm="mag"), wave)
    wave += np.random.default_rng(0).normal(0, noise, len(wave)) + 0.3 * np.sin(np.arange(len(wave)) / 64)
    found = pieces(wave, RATE)
    assert [one.start for one in found] == pytest.approx([0, 4000, 14_000, 14_400], abs=5)
    assert [one.level for one in found] == pytest.approx([0, -100, 25, 0], abs=1)
    assert not any(one.is_ramp for one in found)


def test_a_ramp_is_a_ramp() -> None:
    wave = np.full(20_000, -70.0)
    wave[4000:14_000] = np.linspace(-70, 30, 10_000)
    for noise in (0.0, 0.3):
        found = pieces(wave + np.random.default_rng(1).normal(0, noise, len(wave)), RATE)
        assert [one.is_ramp for one in found] == [False, True, False]
        assert found[1].start == pytest.approx(4000, abs=2 + 200 * noise)
        assert (found[1].first, found[1].last) == pytest.approx((-70, 30), abs=0.5)


def test_a_sine_is_no_sequence_of_steps() -> None:
    wave = (20 * np.sin(np.arange(60_000) / 400)).astype(np.float32)
    found = recording_epochs(_recording([wave]), 0)
    assert [one.kind for one in found.sweeps[0]] == ["wave"]


def test_a_sweep_of_0_pA_has_its_step() -> None:
    waves = [
        _levels((2000, 0), (10_000, level), (2000, 0), (4000, -50), (2000, 0)) for level in (-50, 0, 50, 100)
    ]
    recording = _recording(waves)
    zero = epoch_of(recording, 1, 0)
    assert zero is not None
    assert (zero.letter, zero.kind, zero.start, zero.stop, zero.level) == ("A", "step", 2000, 12_000, 0.0)
    assert text_of(zero, RATE) == "epoch A (step), 0.1 to 0.6 s, 0 pA"


def test_the_epoch_that_varies_is_taken_and_another_can_be_asked_for() -> None:
    waves = [_levels((2000, 0), (12_000, -100), (2000, 0), (6000, level), (2000, 0)) for level in (0, 20, 40)]
    recording = _recording(waves)
    assert [epoch_of(recording, s, 0).level for s in range(3)] == [0, 20, 40]  # type: ignore[union-attr]
    for name in ("A", "a", "0"):
        assert epoch_of(recording, 2, 0, name).level == -100  # type: ignore[union-attr]
    with pytest.raises(RecordingError, match="epoch K asked for .* epochs A, B, C"):
        epoch_of(recording, 0, 0, "K")
    rows = epoch_rows(recording, [0])
    used = [(row["sweep"], row["epoch"], row["level"]) for row in rows if row["used"]]
    assert used == [(0, "C", 0.0), (1, "C", 20.0), (2, "C", 40.0)]
    assert number_of("AA") == 26 and number_of("?") == -1


def test_steps_that_move_from_sweep_to_sweep_keep_their_lengths() -> None:
    waves = [_levels((2000, 0), (2000 + 3000 * s, 80), (20_000 - 3000 * s, 0)) for s in range(4)]
    recording = _recording(waves)
    assert [epoch_of(recording, s, 0).stop for s in range(4)] == [4000, 7000, 10_000, 13_000]  # type: ignore[union-attr]


def test_a_command_that_holds_has_no_step() -> None:
    recording = _recording([np.full(5000, -30.0, np.float32)] * 3)
    assert epoch_of(recording, 0, 0) is None


@pytest.mark.parametrize(
    ("parts", "pulses"),
    [
        ([(2000, -70), (2000, -75), (4000, -70)], 1),
        ([(2000, -70), (2000, -10), (4000, -70)], 0),  # large
        ([(2000, -70), (2000, -75), (4000, -40)], 0),  # does not go back
        ([(2000, -70), (2000, -40), (2000, -45), (2000, -40), (2000, -70)], 0),  # not from holding
        ([(2000, -70), (40_000, -75), (4000, -70)], 0),  # lasts 2 s
        ([(2000, -70), (20, -75), (4000, -70)], 0),  # 1 ms
    ],
)
def test_a_test_pulse_is_short_and_small_and_from_holding(
    parts: list[tuple[int, float]], pulses: int
) -> None:
    assert len(test_pulses(_recording([_levels(*parts)] * 2, "mV"), 0, 0)) == pulses


def test_steps_that_vary_across_sweeps_are_no_test_pulses() -> None:
    waves = [_levels((2000, -70), (2000, -70 + 10 * s), (4000, -70)) for s in range(1, 4)]
    assert test_pulses(_recording(waves, "mV"), 0, 0) == []


def test_a_recorded_command_that_does_something_else_than_the_protocol_is_believed() -> None:
    told = _levels((4000, -70), (4000, -60), (4000, -70))
    done = _levels((4000, -70), (6000, -90), (2000, -70)) + np.random.default_rng(0).normal(0, 0.1, 12_000)
    about = Recording.from_arrays([[np.zeros(12_000), done]], RATE, ["pA", "mV"], names=["Im", "Vcmd"])
    recording = Recording(
        about.channels, about.samples, about.sweep_starts, command_source=Waveforms((told,), "mV")
    )
    found = recording_epochs(recording, 0)
    assert found.source == "recorded"
    assert found.sweeps[0][1].stop == pytest.approx(10_000, abs=3)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name", sorted(path.name for path in (SHARED / "abf").glob("*.abf")) if SHARED.is_dir() else ["none"]
)
def test_epochs_are_those_of_the_protocols_table(name: str, shared_data: Path) -> None:
    import pyabf

    path = shared_data / "ephys" / "abf" / name
    recording, reference = read_recording(path), pyabf.ABF(str(path))
    for channel in range(recording.n_channels):
        found = recording_epochs(recording, channel)
        if found.source != "protocol" or name in ("user-list-durations.abf", "2020_03_02_0000.abf"):
            # pyabf leaves user lists out; tests/signals/test_abf.py holds them to what was recorded
            continue
        for sweep in range(recording.n_sweeps):
            reference.setSweep(sweep, channel=channel)
            table = reference.sweepEpochs
            spans = [(one.start, one.stop) for one in found.sweeps[sweep]]
            assert spans == list(zip(table.p1s, table.p2s, strict=True))
            levels = [one.level for one in found.sweeps[sweep][:-1]]
            assert levels == pytest.approx(table.levels[:-1])
            kinds = [one.kind for one in found.sweeps[sweep] if one.number >= 0]
            names = {"Step": "step", "Ramp": "ramp", "Pulse": "pulses", "Tri": "triangles", "Cos": "cosine",
                     "BiPhsc": "biphasic"}  # fmt: skip
            assert kinds == [names[kind] for kind in table.types[1:-1]]


@pytest.mark.shared_data
def test_heka_segments_are_epochs(shared_data: Path) -> None:
    recording = read_recording(shared_data / "ephys" / "other" / "heka_firing_pattern.dat")
    found = recording_epochs(recording, 0)
    assert found.source == "protocol" and found.main() == 1
    for sweep in (0, 5, 49):
        one = epoch_of(recording, sweep, 0)
        command = recording.command(sweep, 0)
        assert one is not None and command is not None
        assert (one.start, one.stop) == (2500, 17_500)
        assert one.level == pytest.approx(float(command.values[10_000]))
        assert one.size == pytest.approx(-100 + 20 * sweep, abs=1e-3)
