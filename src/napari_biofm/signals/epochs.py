"""Epochs: the parts of a command between its changes, as the protocol's table names them or a waveform shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.segments import Piece, line, pieces

HOLD, STEP, RAMP = "hold", "step", "ramp"
_SAME_S = 0.5e-3  # cuts of two sweeps this near are one
_MOST_SWEEPS = 24  # whose waveforms are searched for cuts


@dataclass(frozen=True)
class CommandEpoch:
    """One part of a sweep's command.

    Attributes
    ----------
    number : column of the protocol's table or place in the waveform, from 0; -1 where it only holds.
    kind : "hold", "step", "ramp", "pulses", "triangles", "cosine", "biphasic", "wave" or "unknown".
    start, stop : first and one-past-last sample.
    before : level from which it starts, in `unit`.
    level : level that is held, that a ramp ends at, or that pulses go to.
    unit : of the levels.
    """

    number: int
    kind: str
    start: int
    stop: int
    before: float
    level: float
    unit: str

    @property
    def letter(self) -> str:
        """Name as in Clampex: A for the first; "" where it only holds."""
        return "" if self.number < 0 else _letters(self.number)

    @property
    def size(self) -> float:
        """By how much the level differs from the one before."""
        return self.level - self.before


@runtime_checkable
class HasEpochs(Protocol):
    """A source of commands that knows the protocol's table."""

    def epochs(self, sweep: int, channel: int) -> tuple[CommandEpoch, ...] | None:
        """Return the epochs of a sweep, None where the table does not rule the command."""
        ...


def _letters(number: int) -> str:
    return chr(65 + number % 26) * (1 + number // 26)


def number_of(name: str) -> int:
    """Return the number of an epoch by its letter ("B") or its number ("1"); -1 for anything else."""
    text = name.strip().upper()
    if text.isdecimal():
        return int(text)
    if text and len(set(text)) == 1 and "A" <= text[0] <= "Z":
        return ord(text[0]) - 65 + 26 * (len(text) - 1)
    return -1


def epochs_of_waveforms(
    waves: Sequence[NDArray[np.floating]], sampling_rate: float, unit: str, least: float = 0.0
) -> list[tuple[CommandEpoch, ...]]:
    """Return the epochs of every sweep, from its command's waveform.

    Parameters
    ----------
    waves : (n_samples,) per sweep, recorded or synthetic.
    sampling_rate : Hz.
    unit : of the values.
    least : changes smaller than this are noise.

    Returns
    -------
    Epochs per sweep. Where the cuts of all sweeps are at the same times, every sweep has all of them: a
    step of 0 pA among steps of other sizes is a step, too. A waveform that is no sequence of levels and
    ramps, such as a sine, is one epoch of kind "wave".
    """
    every = max(1, -(-len(waves) // _MOST_SWEEPS))
    searched = sorted({*range(0, len(waves), every), len(waves) - 1} if waves else ())
    own = {i: pieces(waves[i], sampling_rate, least) for i in searched}
    cuts = {i: [one.start for one in own[i][1:]] for i in searched}
    if not all(own.values()):
        return [(CommandEpoch(0, "wave", 0, len(w), _first(w), _first(w), unit),) for w in waves]
    near = max(3, round(_SAME_S * sampling_rate))
    common = _common_cuts(list(cuts.values()), near)
    if common is None:
        found = [own.get(i) or pieces(wave, sampling_rate, least) for i, wave in enumerate(waves)]
    else:
        found = [_at_cuts(wave, common, least) for wave in waves]
    ramps = _ramps(found)
    back = all(abs(p[-1].level - p[0].level) <= _room(p, least) for p in found)
    return [_named(one, ramps, back, unit) for one in found]


def _first(wave: NDArray[np.floating]) -> float:
    return float(wave[0]) if len(wave) else float("nan")


def _common_cuts(cuts: list[list[int]], near: int) -> list[int] | None:
    """Return the cuts of all sweeps together, None where they move from sweep to sweep."""
    groups: list[list[int]] = []
    for cut in sorted(c for one in cuts for c in one):
        if groups and cut - groups[-1][-1] <= near:
            groups[-1].append(cut)
        else:
            groups.append([cut])
    together = [int(np.median(group)) for group in groups]
    if max(map(len, cuts), default=0) == len(together):
        return together
    few = len(cuts) < 3
    return together if few or all(len(group) >= max(2, 0.15 * len(cuts)) for group in groups) else None


def _at_cuts(wave: NDArray[np.floating], cuts: list[int], least: float) -> list[Piece]:
    bounds = [0, *(c for c in cuts if c < len(wave)), len(wave)]
    return [line(wave, a, b, least) for a, b in pairwise(bounds)]


def _ramps(found: list[list[Piece]]) -> set[int]:
    """Return the places that are ramps in most sweeps in which they lead to another level."""
    places = {len(one) for one in found}
    if len(places) != 1:
        return set()
    share = [
        np.mean([one[i].is_ramp and abs(one[i].last - one[i].first) > 0 for one in found])
        for i in range(places.pop())
    ]
    return {i for i, part in enumerate(share) if part >= 0.5}


def _room(found: list[Piece], least: float) -> float:
    levels = [one.level for one in found]
    return max(least, 0.03 * (max(levels) - min(levels)))


def _named(found: list[Piece], ramps: set[int], back: bool, unit: str) -> tuple[CommandEpoch, ...]:
    epochs: list[CommandEpoch] = []
    before = found[0].first
    for i, one in enumerate(found):
        holds = not one.is_ramp and (i == 0 or (back and i == len(found) - 1))
        kind = HOLD if holds else RAMP if one.is_ramp or i in ramps else STEP
        level = one.level if kind != RAMP else one.last
        epochs.append(CommandEpoch(-1 if holds else i - 1, kind, one.start, one.stop, before, level, unit))
        before = level
    if epochs[0].number < 0 and epochs[0].kind != HOLD:  # it begins with a ramp
        epochs = [
            CommandEpoch(e.number + (e.kind != HOLD), e.kind, e.start, e.stop, e.before, e.level, unit)
            for e in epochs
        ]
    return tuple(epochs)
