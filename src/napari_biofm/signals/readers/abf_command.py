"""The command waveform an ABF file's protocol describes: epochs, or a stimulus file.

Source: waveform rules as implemented in pyabf 2.3.8 (S. W. Harden); equal to it value for value.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.units import clean_unit, si_unit
from napari_biofm.types import RecordingError, Signal

_log = logging.getLogger(__name__)
_OFF, _STEP, _RAMP, _PULSE, _TRIANGLE, _COSINE, _BIPHASIC = 0, 1, 2, 3, 4, 5, 7


@dataclass(frozen=True)
class Epoch:
    """One column of the protocol's waveform table; durations in samples, levels in command units."""

    kind: int
    level: float
    level_step: float
    duration: int
    duration_step: int
    period: int = 0
    width: int = 0


class AbfCommand:
    """Answers `(sweep, channel) -> Signal` for one file; nothing is built before it is asked for."""

    def __init__(self, header: Any, rate: float, bounds: NDArray[np.int64]) -> None:
        self._header = header
        self._rate = rate
        self._bounds = bounds
        self._files: dict[str, NDArray[np.float32] | None] = {}

    @property
    def _version(self) -> int:
        return int(self._header.abfVersion["major"])

    def unit(self, channel: int) -> str:
        """Return the unit of the command for `channel`."""
        units = self._header.dacUnits
        return clean_unit(units[channel]) if channel < len(units) else "?"

    def holding(self, channel: int) -> float | None:
        """Return the holding level in SI, None where the file does not store one per channel."""
        if self._version == 1 or channel >= len(self._header.holdingCommand):
            return None
        level = float(self._header.holdingCommand[channel])
        return level * si_unit(self.unit(channel))[1] if np.isfinite(level) else None

    def __call__(self, sweep: int, channel: int) -> Signal | None:
        values = self._values(sweep, channel)
        if values is None:
            return None
        n = int(self._bounds[sweep, 1] - self._bounds[sweep, 0])
        return Signal(
            values[:n].astype(np.float32),
            self._rate,
            self.unit(channel),
            sweep,
            channel,
            self.holding(channel),
        )

    def _values(self, sweep: int, channel: int) -> NDArray[np.floating[Any]] | None:
        header = self._header
        section = header._headerV1 if self._version == 1 else header._dacSection
        if channel >= min(len(section.nWaveformEnable), len(header.holdingCommand)):
            return None
        n = int(self._bounds[sweep, 1] - self._bounds[sweep, 0])
        source = section.nWaveformSource[channel] if section.nWaveformEnable[channel] else 0
        lengths = self._bounds[:, 1] - self._bounds[:, 0]
        if source == 0 or len(np.unique(lengths)) > 1:
            return np.full(n, header.holdingCommand[channel])
        if source == 1:
            return self._from_epochs(sweep, channel, n)
        if source == 2:
            return self._from_file(channel, n)
        return np.full(n, np.nan)

    # ------------------------------------------------------------------ epochs

    def _from_epochs(self, sweep: int, channel: int, n: int) -> NDArray[np.float64] | None:
        holding = float(self._header.holdingCommand[channel])
        epochs = [e for e in self._epochs(channel) if e.kind != _OFF]
        values = np.full(n, np.nan)
        before = self._last_level(sweep - 1, channel, epochs) if sweep else holding
        position = n // 64  # the amplifier holds for 1/64 of a sweep before the first epoch
        values[:position] = before
        for epoch in epochs:
            level = epoch.level + epoch.level_step * sweep
            duration = max(epoch.duration + epoch.duration_step * sweep, 0)
            if position + duration > n:
                _log.warning("the epochs of %s are longer than its sweep: its command is unknown", self._name)
                return None
            values[position : position + duration] = _waveform(epoch, before, level, duration)
            position += duration
            before = level
        values[position:] = self._last_level(sweep, channel, epochs)
        return values

    def _last_level(self, sweep: int, channel: int, epochs: list[Epoch]) -> float:
        """Return the level held between `sweep` and the next."""
        holding = float(self._header.holdingCommand[channel])
        if not epochs or not self._keeps_level(channel):
            return holding
        return epochs[-1].level + epochs[-1].level_step * sweep

    def _keeps_level(self, channel: int) -> bool:
        if self._version == 1:
            return bool(self._header._headerV1.nInterEpisodeLevel[channel])
        return bool(self._header._dacSection.nInterEpisodeLevel[channel])

    def _epochs(self, channel: int) -> Iterator[Epoch]:
        if self._version == 1:
            head = self._header._headerV1
            for i in range(10 * channel, 10 * channel + 10):  # ten columns for each of two outputs
                yield Epoch(
                    head.nEpochType[i],
                    head.fEpochInitLevel[i],
                    head.fEpochLevelInc[i],
                    head.lEpochInitDuration[i],
                    head.lEpochDurationInc[i],
                )
            return
        table = self._header._epochPerDacSection
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
                )

    # ------------------------------------------------------------------ stimulus file

    @property
    def _name(self) -> str:
        return Path(self._header.abfFilePath).name

    def _from_file(self, channel: int, n: int) -> NDArray[np.floating[Any]]:
        """Return the stimulus file's waveform; NaN if no file of that name lies beside the recording."""
        name = self._stimulus_name(channel)
        if name not in self._files:
            self._files[name] = _read_stimulus(Path(self._header.abfFilePath).parent / name) if name else None
        found = self._files[name]
        if found is None:
            _log.info("stimulus file %s of %s is not beside it: its command is unknown", name, self._name)
            return np.full(n, np.nan)
        return found

    def _stimulus_name(self, channel: int) -> str:
        if self._version == 1:
            stored = self._header._headerV1.sDACFilePath[channel]
        else:
            index = self._header._dacSection.lDACFilePathIndex[channel]
            strings = self._header._stringsSection._indexedStrings
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


def _read_stimulus(path: Path) -> NDArray[np.float32] | None:
    """Return the first sweep of a stimulus file (ABF or ATF), None if it is not there."""
    if not path.is_file():
        return None
    if path.suffix.lower() == ".abf":
        from napari_biofm.signals.readers.abf import read_abf

        return read_abf(path).values(0, 0)
    if path.suffix.lower() == ".atf":
        import pyabf  # type: ignore[import-untyped,unused-ignore]

        try:
            values: NDArray[np.float32] = np.asarray(pyabf.ATF(str(path)).sweepY)
        except Exception as error:  # the parser raises whatever a damaged line leads it to
            raise RecordingError(f"stimulus file {path.name} cannot be read: {error}") from error
        return values
    return None
