"""What each channel of a recording is: the signal of a cell, a command, a trigger, or something else.

Decided by name, unit and shape. What cannot be told is a signal: a cell is never left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.segments import Piece, pieces, residual
from napari_biofm.signals.units import same_quantity, si_unit
from napari_biofm.types import Trace

RoleName = Literal["signal", "command", "trigger", "other"]
LEAST_CHANGE = {"V": 0.5e-3, "A": 1e-12}  # SI; a command that changes by less holds
_FOLLOWS = 0.9  # correlation of a recorded command with the protocol's
_LOOK = 200_000  # samples of a sweep that are looked at
_COMMAND = re.compile(r"com(?!p)|cmd|\bao ?#?\d*|^ao|stim|holding|inject", re.IGNORECASE)
_TRIGGER = re.compile(
    r"ttl|trig|sync|gate|shutter|frame|camera|clock|\bled\b|laser|light|opto|digital|\bdig\b|puls(e|er)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"pressure|\bp_?in\b|piezo|puff|temp|\btmp\b|audio|sound|mic\b|respir|flow|lick|wheel|position|sensor",
    re.IGNORECASE,
)
_CELL_UNITS = ("A", "V", "?", "dF/F", "a.u.", "", "%", "F", "S")  # quantities of a cell; "" is a ratio


@dataclass(frozen=True)
class Role:
    """What a channel is taken for, and why.

    Attributes
    ----------
    channel : number, from 0.
    name : "signal", "command", "trigger" or "other"; signals are searched for events.
    reason : in words that follow "channel 1 is not searched: ".
    sure : whether name, unit or shape settle it.
    command_of : channel whose command this one is, or None.
    """

    channel: int
    name: RoleName
    reason: str
    sure: bool = True
    command_of: int | None = None


class _Channel(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def sampling_rate(self) -> float: ...


class HasSamples(Protocol):
    """What is asked of a recording: its channels and samples."""

    @property
    def channels(self) -> Sequence[_Channel]:
        """What was recorded."""
        ...

    @property
    def n_sweeps(self) -> int:
        """Number of sweeps."""
        ...

    def n_samples(self, sweep: int, channel: int) -> int:
        """Return the number of samples of a channel in a sweep."""
        ...

    def values(self, sweep: int, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples in the channel's unit."""
        ...

    def command(self, sweep: int, channel: int) -> Trace | None:
        """Return what the protocol commands."""
        ...


def find_roles(recording: HasSamples) -> tuple[Role, ...]:
    """Return the role of every channel.

    Parameters
    ----------
    recording : its first samples are read where name and unit do not settle it.

    Notes
    -----
    A command carries the complementary quantity of another channel (volts beside amperes) and is named
    like one, follows that channel's protocol, or is a sequence of levels and straight ramps with sharp edges. Two cells that were recorded
    together, one in current and one in voltage clamp, are two signals. Triggers are in volts and spend
    their time on two levels, or are named so. Pressure, sound, temperature and what else is in no
    unit of a cell is "other".
    """
    first = [_by_name_and_unit(recording, c) for c in range(len(recording.channels))]
    open_ones = [c for c, role in enumerate(first) if role is None]
    commands = _commands(recording, open_ones)
    roles = []
    for channel, role in enumerate(first):
        if role is None and channel in commands:
            of, reason = commands[channel]
            role = Role(channel, "command", reason, True, of)
        roles.append(role or _signal(recording, channel, open_ones))
    return tuple(roles)


def skipped_in_words(recording: HasSamples, roles: Iterable[Role]) -> list[str]:
    """Return one sentence for each channel that is not searched, and for each that may be no signal."""
    said = []
    for role in roles:
        about = recording.channels[role.channel]
        where = f"channel {role.channel} ({about.name}, {about.unit})"
        if role.name != "signal":
            said.append(f"{where} is not searched: {role.reason}")
        elif not role.sure:
            said.append(f"{where} is searched, though {role.reason}")
    return said


def _by_name_and_unit(recording: HasSamples, channel: int) -> Role | None:
    about = recording.channels[channel]
    quantity = si_unit(about.unit)[0]
    if quantity not in _CELL_UNITS:
        return Role(channel, "other", f"{about.unit} is no unit of a cell's signal")
    if _OTHER.search(about.name):
        return Role(channel, "other", "its name says that it is no cell")
    if _TRIGGER.search(about.name) and quantity in ("V", "?"):
        return Role(channel, "trigger", "it is named like a trigger")
    if quantity in ("V", "?") and _has_two_levels(recording, channel):
        return Role(channel, "trigger", "it is in volts and stays on two levels, as triggers do")
    return None


def _has_two_levels(recording: HasSamples, channel: int) -> bool:
    """Say whether a channel in volts spends 98 % of its time on two levels, half a volt or more apart."""
    values = _look(recording, 0, channel)
    unit = recording.channels[channel].unit
    factor = si_unit(unit)[1]
    if len(values) < 10 or unit == "?":
        return False
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = high - low
    if not step > 0:
        return unit == "V" and len(recording.channels) > 1
    if step * factor < 0.5:
        return False
    near = (np.abs(values - low) < 0.1 * step) | (np.abs(values - high) < 0.1 * step)
    return bool(near.mean() > 0.98)


def _commands(recording: HasSamples, channels: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Return the channels that are commands: of which channel, and why."""
    quantity = {c: si_unit(recording.channels[c].unit)[0] for c in channels}
    found: dict[int, tuple[int, str]] = {}
    named = [c for c in channels if _COMMAND.search(recording.channels[c].name)]
    for c in named:
        of = _partner(c, [o for o in channels if o not in named], quantity)
        if of is not None:
            found[c] = (of, f"it is named like the command of channel {of}")
    for c in channels:
        taken = {of for of, _ in found.values()}
        others = [o for o in channels if o not in found and o != c and o not in taken]
        of = _partner(c, others, quantity)
        if c in found or c in taken or of is None:
            continue
        if _follows(recording, c, of):
            found[c] = (of, f"it follows the protocol's command of channel {of}")
        elif commanded(recording, c) is not True:
            continue
        elif commanded(recording, of) is not True or _answers(recording, of, c):
            found[c] = (of, f"it steps and holds like the command of channel {of}")
    return found


def _follows(recording: HasSamples, channel: int, of: int) -> bool:
    """Say whether a channel is what the protocol commands of another channel, whatever its gain."""
    command = recording.command(0, of)
    if command is None or not same_quantity(command.unit, recording.channels[channel].unit):
        return False
    values = _look(recording, 0, channel)
    wanted = np.asarray(command.values[: len(values)], np.float64)
    values = np.asarray(values[: len(wanted)], np.float64)
    if len(values) < 10 or not np.isfinite(wanted).all() or np.ptp(wanted) == 0 or np.ptp(values) == 0:
        return False
    return float(np.corrcoef(values, wanted)[0, 1]) > _FOLLOWS


def _partner(channel: int, others: Sequence[int], quantity: dict[int, str]) -> int | None:
    """Return the nearest channel of the complementary quantity."""
    wanted = {"A": "V", "V": "A"}.get(quantity[channel])
    fitting = [o for o in others if quantity[o] == wanted]
    return min(fitting, key=lambda o: abs(o - channel)) if fitting else None


def _signal(recording: HasSamples, channel: int, open_ones: Sequence[int]) -> Role:
    about = recording.channels[channel]
    quantity = si_unit(about.unit)[0]
    complement = [o for o in open_ones if {quantity, si_unit(recording.channels[o].unit)[0]} == {"A", "V"}]
    if complement and commanded(recording, channel) is None:
        reason = f"it is flat and may be the holding command of channel {complement[0]}"
        return Role(channel, "signal", reason, False)
    return Role(channel, "signal", "")


def commanded(recording: HasSamples, channel: int) -> bool | None:
    """Say whether a channel is a sequence of levels and ramps: True, False, or None where it is flat.

    Parameters
    ----------
    recording : up to three of its sweeps are looked at.
    channel : counted from 0.
    """
    n = recording.n_sweeps
    answers = [_steps_and_holds(recording, s, channel) for s in sorted({0, n // 2, n - 1}) if 0 <= s < n]
    if any(answer is False for answer in answers):
        return False
    return True if any(answers) else None


def _steps_and_holds(recording: HasSamples, sweep: int, channel: int) -> bool | None:
    about = recording.channels[channel]
    quantity, factor = si_unit(about.unit)
    values = _look(recording, sweep, channel)
    if len(values) < 10 or not np.isfinite(values).all():
        return False
    found = pieces(values, about.sampling_rate, LEAST_CHANGE.get(quantity, 0.0) / factor)
    if not found:
        return False
    edge = max(2, round(1e-3 * about.sampling_rate))
    away = np.ones(len(values), bool)
    for one in found[1:]:
        away[max(one.start - edge, 0) : one.start + edge] = False
    rest = np.abs(residual(values, found)[away])
    noise = 1.4826 * float(np.median(rest)) if len(rest) else 0.0
    if len(rest) and np.mean(rest > max(6 * noise, 0.02 * np.ptp(values))) > 1e-3:
        return False
    if len(found) == 1:
        return None
    return _is_protocol(found) and _has_sharp_edges(values, found, edge)


def _is_protocol(found: Sequence[Piece]) -> bool:
    """Say whether there are few ramps, and never three in a row, which curves are made of."""
    row, most = 0, 0
    for one in found:
        row = row + 1 if one.is_ramp else 0
        most = max(most, row)
    return most <= 2 and sum(one.is_ramp for one in found) <= 8


def _has_sharp_edges(values: NDArray[np.float32], found: Sequence[Piece], edge: int) -> bool:
    """Say whether steps are over within a millisecond and do not overshoot."""
    sharp, steps = 0, 0
    for before, after in pairwise(found):
        change = after.first - before.last
        length = after.stop - after.start
        if before.is_ramp or after.is_ramp or length < 3 * edge or change == 0:
            continue
        steps += 1
        early = float(np.median(values[after.start + edge // 2 : after.start + edge // 2 + edge]))
        sharp += 0.8 <= (early - before.last) / change <= 1.25
    return sharp >= 0.8 * steps


def _answers(recording: HasSamples, channel: int, command: int) -> bool:
    """Say whether a channel that steps and holds jumps beyond its new level at the edges, and the other one does not.

    So does the current of a cell with a short time constant when its voltage steps (capacitive transients).
    """
    return _overshoot(recording, channel) > 1.5 and _overshoot(recording, command) < 1.25


def _overshoot(recording: HasSamples, channel: int) -> float:
    """Return how far the first millisecond of a step reaches, over the step: median over steps, noise taken off."""
    about = recording.channels[channel]
    quantity, factor = si_unit(about.unit)
    values = _look(recording, 0, channel)
    found = pieces(values, about.sampling_rate, LEAST_CHANGE.get(quantity, 0.0) / factor)
    edge = max(2, round(1e-3 * about.sampling_rate))
    noise = 1.4826 * float(np.median(np.abs(residual(values, found)))) if found else 0.0
    reached = []
    for one in found[1:]:
        before, near, after = (
            values[max(one.start + a * edge // 4, 0) : one.start + b * edge // 4]
            for a, b in ((-8, -1), (-1, 4), (4, 8))
        )
        if min(map(len, (before, near, after))) == 0:
            continue
        rest, change = float(np.median(before)), float(np.median(after) - np.median(before))
        if abs(change) > noise:
            reached.append((float(np.max(np.sign(change) * (near - rest))) - 4 * noise) / abs(change))
    return float(np.median(reached)) if reached else 1.0


def _look(recording: HasSamples, sweep: int, channel: int) -> NDArray[np.float32]:
    if not recording.n_sweeps:
        return np.zeros(0, np.float32)
    return recording.values(sweep, channel, 0, min(recording.n_samples(sweep, channel), _LOOK))
