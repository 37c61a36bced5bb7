"""The stimulus tree (.pgf) of a HEKA bundle: what the amplifier was told to do, sweep by sweep.

Levels and ramps that are written out as numbers or as the holding level are rebuilt, with their increments
from sweep to sweep, and sines, square waves and chirps upon them. What would need a guess (a template file,
levels taken from a parameter, increments that multiply) is not rebuilt at all, and the reason is said: no
command is better than a wrong one.

Source: record layouts as published by HEKA Elektronik, "StimFile", v9. Currents are stored in nA.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.epochs import HOLD, RAMP, STEP, CommandEpoch
from napari_biofm.signals.readers.heka_waves import CHIRP, SINE, SQUARE, UnknownCommandError, Wave, wave_of
from napari_biofm.types import Trace

_CONSTANT, _RAMP, _CONTINUOUS = 0, 1, 2
_NOT_STORED, _STORED, _FIRST_SWEEP, _LAST_SWEEP = range(4)  # the last two are put out once, never stored
_VALUE, _HOLD = 0, 1
_SCALED, _RELATIVE, _TEMPLATE = 1, 2, 4  # bits of chStimToDacID
_ANALYSIS = 8 | 64  # for lock-in and for chirp: what is computed later, not what is put out
_SHOWN = {"V": ("mV", 1e3, "A"), "A": ("pA", 1e3, "V")}  # unit, from the stored V or nA; what is recorded
_SEGMENT_BYTES, _CHANNEL_BYTES = 64, 78


@dataclass(frozen=True)
class Segment:
    """A level that is held, a ramp that ends at it, or a wave that rides on it.

    Attributes
    ----------
    level, step : at sweep 0, and what each further sweep adds; V or nA.
    seconds, longer : how long, and how much longer with each sweep; s.
    holds : whether the level is the holding level instead.
    is_ramp : whether it rises to the level from the one before.
    wave : what is added to the level, or None.
    stored : whether it was recorded; others only say where a ramp behind them starts.
    """

    level: float
    step: float
    seconds: float
    longer: float
    holds: bool
    is_ramp: bool
    wave: Wave | None = None
    stored: bool = True


@dataclass(frozen=True)
class Output:
    """One output of one stimulation.

    Attributes
    ----------
    unit : that is shown, mV or pA; `factor` takes stored levels to it.
    measured : quantity that is recorded under this command, "A" or "V".
    adc : input that belongs to this output.
    holding : stored unit.
    relative : whether levels count from the holding level.
    """

    unit: str
    factor: float
    measured: str
    adc: int
    holding: float
    relative: bool
    segments: tuple[Segment, ...]

    def sizes(self, sweep: int, n: int, rate: float) -> list[int]:
        """Return the samples of each segment; 0 for those that were not recorded.

        Raises
        ------
        UnknownCommandError
            If they do not add up to the `n` samples of the sweep.
        """
        seconds = [one.seconds + sweep * one.longer if one.stored else 0.0 for one in self.segments]
        if min(seconds) >= 0 and abs(sum(seconds) * rate - n) <= len(seconds):
            return [round(one * rate) for one in seconds]
        raise UnknownCommandError(f"its segments take {sum(seconds):.6g} s of a sweep of {n / rate:.6g} s")

    def values(self, sweep: int, n: int, rate: float) -> NDArray[np.float32]:
        """Return (n,) commanded values in `unit`.

        Raises
        ------
        UnknownCommandError
            If the segments do not fill the sweep.
        """
        values = np.empty(n)
        start, before = 0, self.holding
        for segment, size in zip(self.segments, self.sizes(sweep, n, rate), strict=True):
            level = self._level(segment, sweep)
            stop = min(start + size, n)
            if segment.is_ramp and size:
                values[start:stop] = before + (level - before) * np.arange(1, stop - start + 1) / size
            else:
                values[start:stop] = level
            if segment.wave is not None:
                values[start:stop] += segment.wave.values(size, rate)[: stop - start]
            start, before = stop, level
        values[start:] = values[start - 1] if start else before
        return np.asarray(values * self.factor, np.float32)

    def epochs(self, sweep: int, n: int, rate: float) -> tuple[CommandEpoch, ...]:
        """Return the recorded segments of a sweep of `n` samples; levels at holding count as such.

        Raises
        ------
        UnknownCommandError
            If the segments do not fill the sweep.
        """
        found: list[CommandEpoch] = []
        start, before = 0, self.holding
        for number, (segment, size) in enumerate(zip(self.segments, self.sizes(sweep, n, rate), strict=True)):
            level, stop = self._level(segment, sweep), min(start + size, n)
            kind = "wave" if segment.wave is not None else RAMP if segment.is_ramp else STEP
            kind = HOLD if segment.holds and kind == STEP else kind
            if stop > start:
                levels = (before * self.factor, level * self.factor)
                found.append(CommandEpoch(number, kind, start, stop, *levels, self.unit))
            start, before = stop, level
        return tuple(found)

    def _level(self, segment: Segment, sweep: int) -> float:
        """Return the level of a segment in a sweep, in the stored unit."""
        if segment.holds:
            return self.holding
        return segment.level + sweep * segment.step + (self.holding if self.relative else 0.0)


@dataclass(frozen=True)
class Commands:
    """Commands of a series; answers `Recording.command`.

    Attributes
    ----------
    outputs : per channel, None where the tree does not say or cannot be rebuilt.
    lengths : (n_sweeps,) samples.
    rates : Hz per channel.
    """

    outputs: tuple[Output | None, ...]
    lengths: tuple[int, ...]
    rates: tuple[float, ...]

    def epochs(self, sweep: int, channel: int) -> tuple[CommandEpoch, ...] | None:
        """Return the segments of a sweep's stimulus, None where they are unknown."""
        output = self.outputs[channel]
        if output is None:
            return None
        try:
            return output.epochs(sweep, self.lengths[sweep], self.rates[channel])
        except UnknownCommandError:
            return None

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        """Return the command of a channel."""
        output = self.outputs[channel]
        if output is None:
            return None
        try:
            values = output.values(sweep, self.lengths[sweep], self.rates[channel])
        except UnknownCommandError:
            return None
        return Trace(values, self.rates[channel], output.unit, sweep, channel)


def output_of(
    order: str, channels: Sequence[tuple[bytes, Sequence[bytes]]], measured: str, adc: int
) -> Output | None:
    """Return what was commanded while `measured` was recorded at input `adc`; None if nothing was.

    Parameters
    ----------
    order : byte order, as in `struct`.
    channels : records of a stimulation's outputs, each with those of its segments.
    measured : "A" or "V".

    Raises
    ------
    UnknownCommandError
        If something was commanded that cannot be rebuilt.
    """
    found = [
        (record, segments)
        for record, segments in channels
        if len(record) >= _CHANNEL_BYTES
        and segments
        and _SHOWN.get(_unit(record), ("", 0, ""))[2] == measured
    ]
    if not found:
        return None
    own = [pair for pair in found if struct.unpack_from(f"{order}h", pair[0], 20)[0] == adc]
    return _output(order, *(own or found)[0])


def _unit(record: bytes) -> str:
    return record[40:48].split(b"\0")[0].decode("latin-1").strip()


def _output(order: str, record: bytes, segments: Sequence[bytes]) -> Output:
    (flags,) = struct.unpack_from(f"{order}H", record, 76)
    if flags & _TEMPLATE:
        raise UnknownCommandError("a template file gives its waveform, and bundles do not hold it")
    if not flags & _SCALED or flags & ~(_SCALED | _RELATIVE | _ANALYSIS):
        raise UnknownCommandError(f"its levels are converted in an undocumented way ({flags:#x})")
    parts = tuple(_segment(order, record, one) for one in segments if len(one) >= _SEGMENT_BYTES)
    if not any(one.stored for one in parts):
        raise UnknownCommandError("none of its segments was recorded")
    (adc,) = struct.unpack_from(f"{order}h", record, 20)
    (holding,) = struct.unpack_from(f"{order}d", record, 48)
    if not np.isfinite(holding):
        raise UnknownCommandError(f"its holding level is {holding}")
    unit, factor, measured = _SHOWN[_unit(record)]
    return Output(unit, factor, measured, adc, holding, bool(flags & _RELATIVE), parts)


def _segment(order: str, channel: bytes, record: bytes) -> Segment:
    kind, stored, level_mode, time_mode = record[4:8]
    level, source, factor, step = struct.unpack_from(f"{order}didd", record, 8)
    seconds, time_source, time_factor, longer = struct.unpack_from(f"{order}didd", record, 36)
    if kind not in (_CONSTANT, _RAMP, _CONTINUOUS, SINE, SQUARE, CHIRP):
        raise UnknownCommandError(f"it holds a segment of the unknown class {kind}")
    if source not in (_VALUE, _HOLD) or time_source != _VALUE:
        raise UnknownCommandError("a level or duration is taken from a parameter")
    if not np.isfinite((level, step, seconds, longer)).all() or seconds < 0 or stored > _LAST_SWEEP:
        raise UnknownCommandError(f"it holds a segment of {level}, {seconds} s long")
    if (step and (level_mode or factor not in (0.0, 1.0))) or (
        longer and (time_mode or time_factor not in (0.0, 1.0))
    ):
        raise UnknownCommandError("its increments from sweep to sweep multiply or alternate")
    wave = wave_of(order, channel, kind) if kind in (SINE, SQUARE, CHIRP) else None
    if wave is not None and (step or longer):
        raise UnknownCommandError("it holds a wave that changes from sweep to sweep")
    return Segment(level, step, seconds, longer, source == _HOLD, kind == _RAMP, wave, stored == _STORED)
