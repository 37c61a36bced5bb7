"""The command waveform an ABF file's protocol describes: epochs, or a stimulus file.

Source: waveform rules as implemented in pyabf 2.3.8 (S. W. Harden); equal to it value for value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.epochs import HOLD, RAMP, STEP, CommandEpoch
from napari_biofm.signals.readers.optional import changed
from napari_biofm.signals.readers.pyabf_compat import (
    epoch_section,
    first_header,
    indexed_strings,
    output_section,
    user_lists,
)
from napari_biofm.signals.units import clean_unit, si_unit
from napari_biofm.types import RecordingError, Trace

if TYPE_CHECKING:
    from pyabf import ABF

_log = logging.getLogger(__name__)
_HOLDS, _EPOCHS, _FILE = 0, 1, 2
_OFF, _STEP, _RAMP, _PULSE, _TRIANGLE, _COSINE, _BIPHASIC = 0, 1, 2, 3, 4, 5, 7
_PARALLEL_VALUES = 11  # number of the first parallel value among what a user list may vary
_LISTED = ("level", "duration", "period", "width")
_KINDS = {_STEP: STEP, _RAMP: RAMP, _PULSE: "pulses", _TRIANGLE: "triangles", _COSINE: "cosine",
          _BIPHASIC: "biphasic"}  # fmt: skip


@dataclass(frozen=True)
class UserList:
    """Values that one number of the waveform table takes from sweep to sweep, in place of its start and its step.

    Attributes
    ----------
    what : "level", "duration", "period" or "width". number : of the epoch.
    values : one per sweep, in the units of the table.
    repeats : whether the list starts again at its end; else its last value stays.
    """

    what: str
    number: int
    values: tuple[float, ...]
    repeats: bool

    def at(self, sweep: int) -> float:
        """Return the value of a sweep."""
        n = len(self.values)
        return self.values[sweep % n if self.repeats else min(sweep, n - 1)]


@dataclass(frozen=True)
class Epoch:
    """One column of the protocol's waveform table, counted from 0; durations in samples, levels in command units."""

    kind: int
    level: float
    level_step: float
    duration: int
    duration_step: int
    period: int = 0
    width: int = 0
    number: int = 0
    user_list: UserList | None = None

    def at(self, sweep: int) -> Epoch:
        """Return the column as it was in a sweep: nothing steps any more."""
        level, duration = self.level + self.level_step * sweep, self.duration + self.duration_step * sweep
        one = replace(self, level=level, duration=duration, level_step=0.0, duration_step=0, user_list=None)
        if self.user_list is not None:
            what, value = self.user_list.what, self.user_list.at(sweep)
            one = replace(
                one,
                level=value if what == "level" else one.level,
                duration=round(value) if what == "duration" else one.duration,
                period=round(value) if what == "period" else one.period,
                width=round(value) if what == "width" else one.width,
            )
        return replace(one, duration=max(one.duration, 0))


@dataclass(frozen=True)
class Output:
    """One analogue output of the amplifier.

    Attributes
    ----------
    unit : of the command.
    holding : holding level in `unit`.
    source : 0 holds, 1 follows `epochs`, 2 plays the stimulus file `file`.
    keeps_level : whether the last level stays until the next sweep.
    si_holding : holding level in SI, None where the file does not store one.
    """

    unit: str
    holding: float
    source: int
    keeps_level: bool
    epochs: tuple[Epoch, ...]
    file: str
    si_holding: float | None


@dataclass(frozen=True)
class AbfCommand:
    """Answers `(sweep, channel) -> Trace` for one file; no waveform is built before it is asked for.

    Attributes
    ----------
    path : of the recording; stimulus files are looked for beside it.
    rate : Hz.
    lengths : (n_sweeps,) samples.
    outputs : one per channel that has a command.
    first_sweep : reads the first sweep of the first channel of an ABF file, for stimulus files.
    """

    path: Path
    rate: float
    lengths: NDArray[np.int64]
    outputs: tuple[Output, ...]
    first_sweep: Callable[[Path], NDArray[np.float32]]

    def holding(self, channel: int) -> float | None:
        """Return the holding level in SI, None where the file does not store one per channel."""
        return self.outputs[channel].si_holding if channel < len(self.outputs) else None

    def unknown(self, names: Sequence[str]) -> str:
        """Return why the command of the first of these channels that lacks one is unknown, "" if none does."""
        varying = len(np.unique(self.lengths)) > 1
        for name, output in zip(names, self.outputs, strict=False):
            if output.source == _FILE and not varying and not (self.path.parent / output.file).is_file():
                return f"{name}: the stimulus file {output.file or '(no name)'} is not beside the recording"
            if output.source == _EPOCHS and not varying and self._ends(output) > int(self.lengths[0]):
                return f"{name}: its epochs are longer than the sweep"
            if output.source not in (_HOLDS, _EPOCHS, _FILE) and not varying:
                return f"{name}: its waveform comes from the undocumented source {output.source}"
        return ""

    def _ends(self, output: Output) -> int:
        """Return where the epochs end in the sweep in which they are longest, in samples."""
        listed = any(one.user_list is not None for one in output.epochs)
        sweeps = range(len(self.lengths)) if listed else (0, len(self.lengths) - 1)
        return int(self.lengths[0]) // 64 + max(
            sum(one.at(sweep).duration for one in output.epochs) for sweep in sweeps
        )

    def epochs(self, sweep: int, channel: int) -> tuple[CommandEpoch, ...] | None:
        """Return the columns of the waveform table as they were in a sweep; None where it does not rule.

        The amplifier holds for 1/64 of the sweep before the first, and to the end behind the last.
        """
        if channel >= len(self.outputs) or len(np.unique(self.lengths)) > 1:
            return None
        output, n = self.outputs[channel], int(self.lengths[sweep])
        if output.source != _EPOCHS or not output.epochs or self._ends(output) > n:
            return None
        before = _last_level(sweep - 1, output) if sweep else output.holding
        found = [CommandEpoch(-1, HOLD, 0, n // 64, before, before, output.unit)]
        for epoch in (one.at(sweep) for one in output.epochs):
            start = found[-1].stop
            kind = _KINDS.get(epoch.kind, "unknown")
            stop = start + epoch.duration
            found.append(CommandEpoch(epoch.number, kind, start, stop, before, epoch.level, output.unit))
            before = epoch.level
        last = _last_level(sweep, output)
        return (*found, CommandEpoch(-1, HOLD, found[-1].stop, n, before, last, output.unit))

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        if channel >= len(self.outputs):
            return None
        values = self._values(sweep, self.outputs[channel])
        if values is None:
            return None
        output, n = self.outputs[channel], int(self.lengths[sweep])
        single = np.asarray(values[:n], np.float32)
        return Trace(single, self.rate, output.unit, sweep, channel, output.si_holding)

    def _values(self, sweep: int, output: Output) -> NDArray[np.floating[Any]] | None:
        n = int(self.lengths[sweep])
        if output.source == _HOLDS or len(np.unique(self.lengths)) > 1:
            return np.broadcast_to(np.float32(output.holding), (n,))  # no memory, however long the sweep
        if output.source == _EPOCHS:
            return self._from_epochs(sweep, output, n)
        if output.source == _FILE:
            return self._from_file(output, n)
        return np.broadcast_to(np.float32(np.nan), (n,))

    def _from_epochs(self, sweep: int, output: Output, n: int) -> NDArray[np.float32] | None:
        values = np.full(n, np.nan, np.float32)
        before = _last_level(sweep - 1, output) if sweep else output.holding
        position = n // 64  # the amplifier holds for 1/64 of a sweep before the first epoch
        values[:position] = before
        for epoch in (one.at(sweep) for one in output.epochs):
            level, duration = epoch.level, epoch.duration
            if position + duration > n:
                _log.warning("the epochs of %s exceed its sweep: its command is unknown", self.path.name)
                return None
            values[position : position + duration] = _waveform(epoch, before, level, duration)
            position += duration
            before = level
        values[position:] = _last_level(sweep, output)
        return values

    def _from_file(self, output: Output, n: int) -> NDArray[np.floating[Any]]:
        """Return the stimulus file's waveform; NaN if no file of that name lies beside the recording."""
        file = self.path.parent / output.file
        found = _read_stimulus(file, changed(file), self.first_sweep) if output.file else None
        if found is None:
            _log.info("stimulus file %s of %s is not beside it", output.file, self.path.name)
            return np.full(n, np.nan)
        return found


def abf_command(
    path: Path,
    header: ABF,
    rate: float,
    bounds: NDArray[np.int64],
    first_sweep: Callable[[Path], NDArray[np.float32]],
) -> AbfCommand:
    """Return the commands of a parsed header, free of the parser's objects."""
    first = header.abfVersion["major"] == 1
    section = output_section(header)
    outputs = []
    lists = _user_lists(header)
    for i in range(min(len(section.nWaveformEnable), len(header.holdingCommand))):
        unit = clean_unit(header.dacUnits[i]) if i < len(header.dacUnits) else "?"
        holding = float(header.holdingCommand[i])
        stored = not first and np.isfinite(holding)
        outputs.append(
            Output(
                unit=unit,
                holding=holding,
                source=int(section.nWaveformSource[i]) if section.nWaveformEnable[i] else 0,
                keeps_level=bool(section.nInterEpisodeLevel[i]),
                epochs=tuple(_listed(e, lists.get(i)) for e in _epochs(header, i) if e.kind != _OFF),
                file=_stimulus_name(header, i),
                si_holding=holding * si_unit(unit)[1] if stored else None,
            )
        )
    return AbfCommand(path, rate, bounds[:, 1] - bounds[:, 0], tuple(outputs), first_sweep)


def _listed(epoch: Epoch, one: UserList | None) -> Epoch:
    return replace(epoch, user_list=one) if one is not None and one.number == epoch.number else epoch


def _user_lists(header: ABF) -> dict[int, UserList]:
    """Return the user list of each output that has one for a column of its waveform table.

    The number of what a list varies counts levels, durations, periods and widths of all columns behind 11 and a block of
    parallel values; a table had ten columns up to pCLAMP 10, and has fifty from pCLAMP 11 on (ABF 2.9).
    """
    columns = 10 if (header.abfVersion["major"], header.abfVersion["minor"]) < (2, 9) else 50
    found = {}
    for output, parameter, repeats, values in user_lists(header):
        block, number = divmod(parameter - _PARALLEL_VALUES - columns, columns)
        if 0 <= block < len(_LISTED) and values:
            found[output] = UserList(_LISTED[block], number, tuple(values), repeats)
    return found


def _last_level(sweep: int, output: Output) -> float:
    """Return the level held between `sweep` and the next."""
    if not output.epochs or not output.keeps_level:
        return output.holding
    return output.epochs[-1].at(sweep).level


def _epochs(header: Any, channel: int) -> Iterator[Epoch]:
    if header.abfVersion["major"] == 1:
        head = first_header(header)
        for i in range(10 * channel, 10 * channel + 10):  # ten columns for each of two outputs
            yield Epoch(
                head.nEpochType[i],
                head.fEpochInitLevel[i],
                head.fEpochLevelInc[i],
                head.lEpochInitDuration[i],
                head.lEpochDurationInc[i],
                number=i - 10 * channel,
            )
        return
    table = epoch_section(header)
    for i, output in enumerate(table.nDACNum):
        if output == channel:
            yield Epoch(
                table.nEpochType[i],
                table.fEpochInitLevel[i],
                table.fEpochLevelInc[i],
                table.lEpochInitDuration[i],
                table.lEpochDurationInc[i],
                table.lEpochPulsePeriod[i],
                table.lEpochPulseWidth[i],
                int(table.nEpochNum[i]),
            )


def _stimulus_name(header: Any, channel: int) -> str:
    if header.abfVersion["major"] == 1:
        stored = first_header(header).sDACFilePath[channel]
    else:
        index = output_section(header).lDACFilePathIndex[channel]
        strings = indexed_strings(header)
        stored = strings[index] if 0 <= index < len(strings) else ""
    return PureWindowsPath(stored.replace("\x00", "")).name


def _waveform(epoch: Epoch, before: float, level: float, n: int) -> NDArray[np.float64]:
    """Return one epoch of `n` samples that starts at `before` and goes to `level`."""
    step = level - before
    if epoch.kind == _STEP:
        return np.full(n, level, np.float64)
    if epoch.kind == _RAMP:
        return np.linspace(before, level, n)
    pulses = n // epoch.period if epoch.period > 0 else 0
    if epoch.kind == _COSINE:
        phase = np.linspace(0, 2 * pulses * np.pi, n) + np.pi
        return np.full(n, before, np.float64) + (np.cos(phase) * step / 2 + step / 2)
    if epoch.kind in (_PULSE, _TRIANGLE, _BIPHASIC):
        return _train(epoch, before, level, n, pulses)
    return np.full(n, np.nan)


def _train(epoch: Epoch, before: float, level: float, n: int, pulses: int) -> NDArray[np.float64]:
    """Return a train of pulses, triangles or biphasic pulses."""
    values = np.full(n, np.nan if epoch.kind == _TRIANGLE else before, np.float64)
    period = epoch.period
    width = min(max(epoch.width, 0), period)
    for first in range(0, pulses * period, max(period, 1)):
        last = first + width
        if epoch.kind == _PULSE:
            values[first:last] = level
        elif epoch.kind == _TRIANGLE:
            rise = np.linspace(before, level, width)
            values[first:last] = rise
            values[last : first + period] = np.linspace(level, before, max(period - width, 0))
        else:
            middle = (first + last) // 2
            values[first:middle] = before + (level - before)
            values[middle:last] = before - (level - before)
    return values


@lru_cache(maxsize=8)
def _read_stimulus(
    path: Path,
    stamp: int,  # noqa: ARG001 (part of the key of the cache)
    first_sweep: Callable[[Path], NDArray[np.float32]],
) -> NDArray[np.float32] | None:
    """Return the first sweep of a stimulus file (ABF or ATF), None if it is not there."""
    if not path.is_file():
        return None
    if path.suffix.lower() == ".abf":
        return first_sweep(path)
    if path.suffix.lower() == ".atf":
        import pyabf  # type: ignore[import-untyped,unused-ignore]

        try:
            values: NDArray[np.float32] = np.asarray(pyabf.ATF(str(path)).sweepY)
        except Exception as error:  # the parser raises whatever a damaged line leads it to
            raise RecordingError(f"stimulus file {path.name} cannot be read: {error}") from error
        return values
    return None
