"""Units that cannot be right: sizes that no cell and no amplifier have, and what the unit probably is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import same_quantity, si_unit

Values = NDArray[np.float32]
_LOOK = 200_000  # samples of a sweep that are looked at
_MOST_VOLTS = 15.0  # at an amplifier's output
_MOST_AMPERES = 1e-4  # a two-electrode clamp gives less
_QUIETEST_VOLTS = 5e-6  # noise of a membrane potential behind any amplifier, at 2 kHz and more
_QUIETEST_AMPERES = 0.02e-12  # the same of a patch clamp
_FAST = 2000.0  # Hz: slower recordings may be averaged so much that they are quieter
_MEMBRANE_V = (-0.12, -0.02)  # where cells rest
_NOISE_OF_FRACTIONS = 0.6  # dF/F noisier than 60 % is in percent
_LARGEST_FRACTION = 30.0  # dF/F: no indicator brightens thirty times
_NOISE_OF_PERCENT = 0.05  # "%": photons are never that many


@dataclass(frozen=True)
class UnitHint:
    """A unit that looks wrong: what it probably is, why, and by how much the values are off as well."""

    proposal: str
    reason: str
    factor: float = 1.0


@dataclass(frozen=True)
class _Sizes:
    """Median, largest and smallest value, span, and noise from sample to sample, in the channel's unit."""

    middle: float
    top: float
    span: float
    noise: float


def unit_hint(recording: Recording, channel: int) -> UnitHint | None:
    """Say which unit a channel probably has where the file's cannot be right, else None.

    Parameters
    ----------
    recording : its first, middle and last sweep are looked at.
    channel : counted from 0.
    """
    about = recording.channels[channel]
    sizes = _sizes(recording, channel)
    if sizes is None:
        return None
    quantity, _ = si_unit(about.unit)
    if quantity == "V":
        hint = _volts(about.unit, sizes, about.sampling_rate)
    elif quantity == "A":
        hint = _amperes(about.unit, sizes, about.sampling_rate)
    elif quantity == "?":
        hint = _nothing_said(recording, channel, sizes)
    else:
        hint = _fluorescence(about.unit, sizes)
    return hint or _against_command(recording, channel, sizes)


def unit_hints(recording: Recording, channels: Iterable[int] | None = None) -> dict[int, UnitHint]:
    """Return the hints of the channels whose unit looks wrong; none for processed copies.

    Parameters
    ----------
    recording : with its channels.
    channels : that are looked at; None takes those of cells (of many, the first).
    """
    if "processing" in recording.metadata:
        return {}
    if recording.is_cells:
        channels = [c for c in (channels if channels is not None else [0]) if c == 0]
    elif channels is None:
        channels = [role.channel for role in recording.roles if role.name == "signal"]
    hints = {channel: unit_hint(recording, channel) for channel in channels}
    return {channel: hint for channel, hint in hints.items() if hint is not None}


def hints_in_words(recording: Recording, hints: dict[int, UnitHint]) -> list[str]:
    """Return one sentence for each unit that looks wrong, with what mends it on the command line."""
    said = []
    for channel, hint in hints.items():
        about = recording.channels[channel]
        give = hint.proposal if recording.n_channels == 1 else f"{channel}={hint.proposal}"
        said.append(
            f"the unit of channel {channel} ({about.name}, {about.unit}) looks wrong: {hint.reason}; "
            f"--unit {give} puts it right"
        )
    return said


def _sizes(recording: Recording, channel: int) -> _Sizes | None:
    n = recording.n_sweeps
    pieces = []
    for sweep in sorted({0, n // 2, n - 1}) if n else ():
        size = min(recording.n_samples(sweep, channel), _LOOK)
        pieces.append(recording.values(sweep, channel, 0, size))
    values = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    values = values[np.isfinite(values)].astype(np.float64)
    if values.size < 3:
        return None
    noise = 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / np.sqrt(6.0)
    return _Sizes(float(np.median(values)), float(np.max(np.abs(values))), float(np.ptp(values)), noise)


def _volts(unit: str, sizes: _Sizes, rate: float) -> UnitHint | None:
    factor = si_unit(unit)[1]
    if sizes.top * factor > _MOST_VOLTS:
        smaller = _next_that_fits("V", sizes.top, unit, _MOST_VOLTS)
        return UnitHint(smaller, f"{sizes.top:.3g} {unit} is beyond any amplifier") if smaller else None
    if factor == 1.0 or rate < _FAST or sizes.noise * factor > _QUIETEST_VOLTS:
        return None
    for larger in ("V", "mV"):
        size = si_unit(larger)[1]
        rests = _MEMBRANE_V[0] <= sizes.middle * size <= _MEMBRANE_V[1]
        if size > factor and rests and sizes.span * size < 0.3:
            return UnitHint(
                larger,
                f"{sizes.middle:.3g} {unit} with {sizes.noise:.2g} {unit} of noise is no membrane potential, "
                f"{sizes.middle:.3g} {larger} is one",
            )
    return None


def _amperes(unit: str, sizes: _Sizes, rate: float) -> UnitHint | None:
    factor = si_unit(unit)[1]
    if sizes.top * factor > _MOST_AMPERES:
        smaller = _next_that_fits("A", sizes.top, unit, 1e-6)
        return UnitHint(smaller, f"{sizes.top:.3g} {unit} is beyond any amplifier") if smaller else None
    quiet = sizes.noise * factor < _QUIETEST_AMPERES and sizes.noise > 1e-6 * max(sizes.top, 1e-30)
    if factor < 1.0 and rate >= _FAST and quiet and sizes.top * factor < 2e-12:
        for larger in ("nA", "uA", "A"):
            size = si_unit(larger)[1]
            if size > factor and 0.05e-12 < sizes.noise * size < 100e-12:
                return UnitHint(
                    larger,
                    f"{sizes.noise:.2g} {unit} of noise is less than any amplifier has, "
                    f"{sizes.noise:.2g} {larger} is usual",
                )
    return None


def _next_that_fits(quantity: str, top: float, unit: str, most: float) -> str | None:
    """Return the usual unit that is smaller than `unit` and brings a size below `most` (SI)."""
    factor = si_unit(unit)[1]
    for smaller in {"A": ("pA", "nA", "uA"), "V": ("mV", "uV")}[quantity]:
        size = si_unit(smaller)[1]
        if size < factor and top >= 0.5 and top * size <= most:
            return smaller
    return None


def _nothing_said(recording: Recording, channel: int, sizes: _Sizes) -> UnitHint | None:
    """Guess a unit where the file names none."""
    command = recording.command(0, channel)
    if command is not None and si_unit(command.unit)[0] == "V":
        return UnitHint("pA", f"the file names no unit, and {command.unit} were commanded")
    if -120 < sizes.middle < -20:
        return UnitHint("mV", "the file names no unit, and a cell rests there")
    if _MEMBRANE_V[0] < sizes.middle < _MEMBRANE_V[1] and sizes.span < 0.3:
        return UnitHint("V", "the file names no unit, and a cell rests there")
    return None


def _fluorescence(unit: str, sizes: _Sizes) -> UnitHint | None:
    """Tell fractions of dF/F from percent by their noise and size."""
    if unit == "dF/F":
        if sizes.noise > _NOISE_OF_FRACTIONS or sizes.top > _LARGEST_FRACTION:
            return UnitHint("%", f"dF/F of {sizes.top:.3g} with noise of {sizes.noise:.2g} is in percent")
    elif unit == "%" and 0 < sizes.noise < _NOISE_OF_PERCENT and sizes.top < 5.0:
        return UnitHint("dF/F", f"noise of {sizes.noise:.2g} % is less than light has: these are fractions")
    return None


def _against_command(recording: Recording, channel: int, sizes: _Sizes) -> UnitHint | None:
    """Say whether the quantity that is recorded is also the one that is commanded."""
    about = recording.channels[channel]
    quantity = si_unit(about.unit)[0]
    command = recording.command(0, channel) if recording.n_channels == 1 and quantity in ("A", "V") else None
    if command is None or command.unit == "?" or not same_quantity(command.unit, about.unit):
        return None
    other = "mV" if quantity == "A" else "pA"
    reason = f"{about.unit} recorded while {command.unit} is commanded: one of the two is wrong"
    factor = _membrane_factor(recording, channel) if other == "mV" else 1.0
    if factor != 1.0:
        reason += f", and {sizes.middle:.0f} mV at rest says that the gain was {1 / factor:g} times too high"
    return UnitHint(other, reason, factor)


def _membrane_factor(recording: Recording, channel: int) -> float:
    """Return what takes values to a membrane potential: 1 if they are one, or one over a usual gain."""
    values = recording.values(0, channel, 0, min(recording.n_samples(0, channel), _LOOK))
    values = values[np.isfinite(values)]
    rest, top = (float(np.percentile(values, q)) for q in (50, 99.99))
    for gain in (1, 2, 5, 10, 20, 50, 100):
        if -95 < rest / gain < -35 and top / gain < 90:
            return 1.0 / gain
    return 1.0
