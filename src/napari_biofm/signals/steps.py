"""Which epoch of a recording's command is looked at, and which one is a test pulse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.epochs import (
    HOLD,
    RAMP,
    STEP,
    CommandEpoch,
    HasEpochs,
    epochs_of_waveforms,
    number_of,
)
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.roles import LEAST_CHANGE
from napari_biofm.signals.units import same_quantity, si_unit
from napari_biofm.types import RecordingError

PROTOCOL, RECORDED, WAVEFORM = "protocol", "recorded", "waveform"
LEAST_PULSE, MOST_PULSE = 1e-3, 30e-3  # V: a test pulse is smaller than steps that open channels
LONGEST_PULSE_S = 1.0
SHORTEST_PULSE_S = 0.002
_LOOK = 2_000_000  # samples of a command's waveform that are looked at
_kept: WeakKeyDictionary[Recording, dict[int, RecordingEpochs]] = WeakKeyDictionary()


@dataclass(frozen=True)
class RecordingEpochs:
    """The epochs of a channel's command in every sweep.

    Attributes
    ----------
    sweeps : epochs per sweep; empty where nothing is commanded or nobody knows.
    source : "protocol" (the file's table), "recorded" (a channel), "waveform" (stimuli of the file), or "".
    unit : of the levels.
    """

    sweeps: tuple[tuple[CommandEpoch, ...], ...]
    source: str
    unit: str

    def of(self, sweep: int, number: int) -> CommandEpoch | None:
        """Return the epoch of a number in a sweep."""
        return next((one for one in self.sweeps[sweep] if one.number == number >= 0), None)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the epochs that are no holding, sorted."""
        return sorted({one.number for sweep in self.sweeps for one in sweep if one.number >= 0})

    @property
    def varying(self) -> list[int]:
        """Numbers of the epochs whose level or length changes from sweep to sweep."""
        return [n for n in self.numbers if self._spread(n) > 0 or self._lengths(n) > 1]

    def _all(self, number: int) -> list[CommandEpoch]:
        found = (self.of(sweep, number) for sweep in range(len(self.sweeps)))
        return [one for one in found if one is not None]

    def _spread(self, number: int) -> float:
        """Return by how much the level of an epoch differs between sweeps; 0 for what is noise."""
        levels = [one.level for one in self._all(number)]
        spread = max(levels) - min(levels)
        known = self.source == PROTOCOL
        least = 1e-6 * max(map(abs, levels)) if known else least_change(self.unit)
        return spread if spread > max(least, 0.0 if known else 0.02 * self._range) else 0.0

    @property
    def _range(self) -> float:
        levels = [one.level for sweep in self.sweeps for one in sweep]
        return max(levels) - min(levels) if levels else 0.0

    def _leaves(self, number: int) -> bool:
        """Return whether an epoch is at another level than the sweep begins with."""
        away = [
            abs(one.level - sweep[0].level) for sweep in self.sweeps for one in sweep if one.number == number
        ]
        return bool(np.median(away) > least_change(self.unit))

    def _lengths(self, number: int) -> int:
        near = 1 if self.source == PROTOCOL else 20
        return len({(one.stop - one.start) // near for one in self._all(number)})

    def main(self) -> int:
        """Return the number of the epoch that is looked at when nobody says otherwise; -1 if there is none.

        It is the step whose level changes most from sweep to sweep (the longer, then the first of those
        alike), else a ramp or train that changes, else the step whose length changes, else the longest
        step at another level than the sweep begins with, else the longest such ramp or train.
        """

        def rank(number: int) -> tuple[float, ...]:
            them = self._all(number)
            step = all(one.kind in (STEP, HOLD) for one in them)
            spread = self._spread(number)
            lengths = self._lengths(number) > 1
            leaves = self._leaves(number)
            longest = float(max(one.stop - one.start for one in them))
            return (
                float(spread > 0 and step), float(spread > 0), float(lengths), float(leaves and step),
                float(leaves), round(spread, 6), longest, -number,
            )  # fmt: skip

        best = max(self.numbers, key=rank, default=-1)
        return best if best >= 0 and any(rank(best)[:5]) else -1


def least_change(unit: str) -> float:
    """Return the change of a command below which it holds, in its unit."""
    quantity, factor = si_unit(unit)
    return LEAST_CHANGE.get(quantity, 0.0) / factor


def recording_epochs(recording: Recording, channel: int) -> RecordingEpochs:
    """Return the epochs of a channel's command in every sweep; found once for each recording.

    The protocol's table is taken, unless the command was recorded and does something else. Without a
    table the recorded command, or the waveform that the file gives, is cut where it changes.

    Parameters
    ----------
    recording : of any format.
    channel : whose command is meant, counted from 0.
    """
    known = _kept.setdefault(recording, {})
    if channel not in known:
        known[channel] = _find(recording, channel)
    return known[channel]


def epoch_of(recording: Recording, sweep: int, channel: int, epoch: str | None = None) -> CommandEpoch | None:
    """Return the epoch that a sweep is measured in.

    Parameters
    ----------
    recording, sweep, channel : where.
    epoch : its letter or number; None takes the one that varies across sweeps (`RecordingEpochs.main`).

    Returns
    -------
    The epoch, or None where the command holds or is unknown.

    Raises
    ------
    RecordingError
        If the command has no such epoch.
    """
    found = recording_epochs(recording, channel)
    if epoch is None:
        return found.of(sweep, found.main()) if found.sweeps else None
    one = found.of(sweep, number_of(epoch)) if found.sweeps else None
    if one is None:
        there = ", ".join(CommandEpoch(n, "", 0, 0, 0.0, 0.0, "").letter for n in found.numbers)
        raise RecordingError(
            f"epoch {epoch} asked for in {recording.name}, channel {channel}; its command has "
            + (f"epochs {there}" if there else "none")
        )
    return one


def test_pulses(recording: Recording, sweep: int, channel: int) -> list[CommandEpoch]:
    """Return the test pulses of a sweep in voltage clamp, in order.

    A test pulse is a step of 1 to 30 mV, 2 ms to 1 s long, from the holding level and back to it, and the
    same in every sweep: what changes across sweeps is the experiment. None in current clamp.
    """
    if si_unit(recording.channels[channel].unit)[0] != "A":
        return []
    found = recording_epochs(recording, channel)
    if not found.sweeps or si_unit(found.unit)[0] != "V":
        return []
    varying = set(found.varying) if recording.n_sweeps > 1 else set()
    rate = recording.channels[channel].sampling_rate
    epochs = found.sweeps[sweep]
    return [
        one
        for one, after in zip(epochs, [*epochs[1:], None], strict=True)
        if one.number not in varying and _is_test_pulse(one, after, epochs[0], rate)
    ]


test_pulses.__test__ = False  # type: ignore[attr-defined]  # no test of ours, whatever its name says to pytest


def _is_test_pulse(
    one: CommandEpoch, after: CommandEpoch | None, first: CommandEpoch, sampling_rate: float
) -> bool:
    volts = si_unit(one.unit)[1]
    room = max(0.1 * abs(one.size), least_change(one.unit))
    length = (one.stop - one.start) / sampling_rate
    rest = one.start / sampling_rate
    returns = after is None or (after.kind in (HOLD, STEP) and abs(after.level - one.before) <= room)
    return (
        one.kind == STEP
        and LEAST_PULSE * 0.99 <= abs(one.size) * volts <= MOST_PULSE * 1.01
        and SHORTEST_PULSE_S <= length <= LONGEST_PULSE_S
        and rest >= SHORTEST_PULSE_S / 2
        and abs(one.before - first.level) <= room
        and returns
    )


def _find(recording: Recording, channel: int) -> RecordingEpochs:
    recorded = recording.command_channel(channel)
    source = recording.command_source
    table = None
    if isinstance(source, HasEpochs):
        rows = [source.epochs(sweep, channel) for sweep in range(recording.n_sweeps)]
        if all(rows):
            table = RecordingEpochs(tuple(row for row in rows if row), PROTOCOL, rows[0][0].unit)  # type: ignore[index]
    if table is not None and (recorded is None or _agrees(recording, channel, recorded, table)):
        return table
    waves = _waves(recording, channel)
    if waves is None:
        return RecordingEpochs((), "", "?")
    unit, values = waves
    rate = recording.channels[channel].sampling_rate
    found = epochs_of_waveforms(values, rate, unit, least_change(unit))
    return RecordingEpochs(tuple(found), WAVEFORM if recorded is None else RECORDED, unit)


def _waves(recording: Recording, channel: int) -> tuple[str, list[NDArray[np.floating]]] | None:
    """Return unit and waveform of the command of every sweep; None if one is unknown."""
    values: list[NDArray[np.floating]] = []
    unit = "?"
    for sweep in range(recording.n_sweeps):
        command = recording.stimulus(sweep, channel, _LOOK)
        if command is None or not len(command.values):
            return None
        wave = np.asarray(command.values[:_LOOK])
        if not np.isfinite(wave).all():
            return None
        values.append(wave)
        unit = command.unit
    return (unit, values) if values else None


def _agrees(recording: Recording, channel: int, recorded: int, table: RecordingEpochs) -> bool:
    """Say whether a recorded command follows the protocol's table, whatever its gain and offset."""
    about = recording.channels[recorded]
    if not same_quantity(about.unit, table.unit):
        return True  # it is not the command's quantity and says nothing of it
    n = recording.n_sweeps
    for sweep in sorted({0, n // 2, n - 1}):
        wanted = recording.command(sweep, channel)
        if wanted is None:
            continue
        size = min(len(wanted.values), _LOOK)
        got = np.asarray(
            recording.values(sweep, recorded, 0, min(size, recording.n_samples(sweep, recorded)))
        )
        told = np.asarray(wanted.values[: len(got)], np.float64)
        if not _one_line(told, got.astype(np.float64), least_change(about.unit)):
            return False
    return True


def _one_line(told: NDArray[np.float64], got: NDArray[np.float64], least: float) -> bool:
    good = np.isfinite(told) & np.isfinite(got)
    told, got = told[good], got[good]
    if len(got) < 10 or np.ptp(got) <= 4 * least:
        return bool(len(told) < 10 or np.ptp(told) <= least)
    if np.ptp(told) == 0:
        return bool(np.std(got) < 2 * least or np.ptp(got) < 12 * np.std(got - np.roll(got, 1)))
    return float(np.corrcoef(told, got)[0, 1]) > 0.8


def text_of(epoch: CommandEpoch, sampling_rate: float) -> str:
    """Return an epoch in words, such as "epoch B (step), 0.05 to 0.55 s, -100 pA".

    Parameters
    ----------
    epoch : to be named.
    sampling_rate : Hz.
    """
    name = f"epoch {epoch.letter} ({epoch.kind})" if epoch.letter else epoch.kind
    times = f"{epoch.start / sampling_rate:.6g} to {epoch.stop / sampling_rate:.6g} s"
    return f"{name}, {times}, {epoch.level:.6g} {epoch.unit}"


def epoch_rows(recording: Recording, channels: Sequence[int]) -> list[dict[str, object]]:
    """Return the epochs of every sweep of some channels as rows: what the table `epochs` holds.

    Parameters
    ----------
    recording : of any format.
    channels : counted from 0.
    """
    rows: list[dict[str, object]] = []
    for channel in channels:
        found = recording_epochs(recording, channel)
        main, rate = found.main() if found.sweeps else -1, recording.channels[channel].sampling_rate
        for sweep, epochs in enumerate(found.sweeps):
            pulses = {one.number for one in test_pulses(recording, sweep, channel)}
            for one in epochs:
                rows.append(
                    {
                        "sweep": sweep, "channel": channel, "epoch": one.letter, "kind": one.kind,
                        "start_s": one.start / rate, "stop_s": one.stop / rate, "start": one.start,
                        "stop": one.stop, "before": one.before, "level": one.level, "unit": one.unit,
                        "used": int(one.number == main >= 0), "test_pulse": int(one.number in pulses and one.number >= 0),
                        "source": found.source,
                    }
                )  # fmt: skip
    return rows


__all__ = [
    "RAMP", "RecordingEpochs", "epoch_of", "epoch_rows", "least_change", "recording_epochs", "test_pulses", "text_of",
]  # fmt: skip
