"""The stimulus tree (.pgf) of a HEKA bundle: what the amplifier was told to do, sweep by sweep.

Levels and ramps that are written out as numbers or as the holding level are rebuilt, with their increments
from sweep to sweep. What would need a guess (sines, chirps, templates, levels taken from a parameter) is
not rebuilt at all: no command is better than a wrong one.

Source: record layouts as published by HEKA Elektronik, "StimFile", v9. Currents are stored in nA.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Signal

_CONSTANT, _RAMP, _CONTINUOUS = 0, 1, 2
_VALUE, _HOLD = 0, 1
_RELATIVE = 0b10
_ONLY_SCALED = 0b11  # of the bits of chStimToDacID: scaled, relative; all others are not rebuilt
_SHOWN = {"V": ("mV", 1e3, "A"), "A": ("pA", 1e3, "V")}  # unit, from the stored V or nA; what is recorded
_SEGMENT_BYTES, _CHANNEL_BYTES = 64, 78


@dataclass(frozen=True)
class Segment:
    """A level that is held, or a ramp that ends at it.

    Attributes
    ----------
    level, step : at sweep 0, and what each further sweep adds; V or nA.
    seconds, longer : how long, and how much longer with each sweep; s.
    holds : whether the level is the holding level instead.
    is_ramp : whether it rises to the level from the one before.
    """

    level: float
    step: float
    seconds: float
    longer: float
    holds: bool
    is_ramp: bool


@dataclass(frozen=True)
class Protocol:
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

    def values(self, sweep: int, n: int, rate: float) -> NDArray[np.float32] | None:
        """Return (n,) commanded values in `unit`; None if the segments do not fill `n` samples."""
        pieces: list[NDArray[np.float64]] = []
        before = self.holding
        for segment in self.segments:
            level = self.holding if segment.holds else segment.level + sweep * segment.step
            if self.relative and not segment.holds:
                level += self.holding
            size = round((segment.seconds + sweep * segment.longer) * rate)
            if size < 0 or size > 2 * n:
                return None
            if segment.is_ramp and size:
                pieces.append(before + (level - before) * np.arange(1, size + 1) / size)
            else:
                pieces.append(np.full(size, level))
            before = level
        values = np.concatenate(pieces) if pieces else np.zeros(0)
        if abs(len(values) - n) > len(self.segments) or not len(values):
            return None
        values = np.pad(values, (0, max(n - len(values), 0)), mode="edge")[:n]
        return np.asarray(values * self.factor, np.float32)


@dataclass(frozen=True)
class Commands:
    """Commands of a series; answers `Recording.command`.

    Attributes
    ----------
    protocols : per channel, None where the tree does not say or cannot be rebuilt.
    lengths : (n_sweeps,) samples.
    rates : Hz per channel.
    """

    protocols: tuple[Protocol | None, ...]
    lengths: tuple[int, ...]
    rates: tuple[float, ...]

    def __call__(self, sweep: int, channel: int) -> Signal | None:
        """Return the command of a channel."""
        protocol = self.protocols[channel]
        if protocol is None:
            return None
        values = protocol.values(sweep, self.lengths[sweep], self.rates[channel])
        return None if values is None else Signal(values, self.rates[channel], protocol.unit, sweep, channel)


def protocol_of(
    order: str, channels: Sequence[tuple[bytes, Sequence[bytes]]], measured: str, adc: int
) -> Protocol | None:
    """Return what was commanded while `measured` was recorded at input `adc`.

    Parameters
    ----------
    order : byte order, as in `struct`.
    channels : records of a stimulation's outputs, each with those of its segments.
    measured : "A" or "V".
    """
    found = [one for one in (_protocol(order, *pair) for pair in channels) if one is not None]
    found = [one for one in found if one.measured == measured]
    return next((one for one in found if one.adc == adc), found[0] if found else None)


def _protocol(order: str, record: bytes, segments: Sequence[bytes]) -> Protocol | None:
    if len(record) < _CHANNEL_BYTES or not segments:
        return None
    shown = _SHOWN.get(record[40:48].split(b"\0")[0].decode("latin-1").strip())
    (flags,) = struct.unpack_from(f"{order}H", record, 76)
    parts = [_segment(order, one) for one in segments if len(one) >= _SEGMENT_BYTES and one[5]]
    if shown is None or flags & ~_ONLY_SCALED or not parts or any(one is None for one in parts):
        return None
    (adc,) = struct.unpack_from(f"{order}h", record, 20)
    (holding,) = struct.unpack_from(f"{order}d", record, 48)
    unit, factor, measured = shown
    return Protocol(
        unit, factor, measured, adc, holding, bool(flags & _RELATIVE), tuple(p for p in parts if p)
    )


def _segment(order: str, record: bytes) -> Segment | None:
    """Return a segment that is written out in numbers, None for any other."""
    kind, level_mode, time_mode = record[4], record[6], record[7]
    level, source, factor, step = struct.unpack_from(f"{order}didd", record, 8)
    seconds, time_source, time_factor, longer = struct.unpack_from(f"{order}didd", record, 36)
    if kind not in (_CONSTANT, _RAMP, _CONTINUOUS) or source not in (_VALUE, _HOLD) or time_source != _VALUE:
        return None
    numbers = (level, step, seconds, longer)
    if not np.isfinite(numbers).all() or seconds < 0:
        return None
    if (step and (level_mode or factor not in (0.0, 1.0))) or (
        longer and (time_mode or time_factor not in (0.0, 1.0))
    ):
        return None  # increments that multiply or alternate
    return Segment(level, step, seconds, longer, source == _HOLD, kind == _RAMP)
