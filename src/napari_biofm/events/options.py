"""Options of detectors: every detector declares them, whoever gives another name or value is told."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping, Sequence

from napari_biofm.types import DetectionSettings, Detector, Option, RecordingError

# Taken with every detector: what tells excitatory from inhibitory events, see `measuring.naming`.
COMMON_OPTIONS = (
    Option(
        "holding_mv", "mV", -300, 300, None, "Holding potential, to tell EPSC from IPSC by their direction."
    ),
    Option("excitatory_mv", "mV", -300, 300, None, "Reversal potential of excitatory events."),
    Option("inhibitory_mv", "mV", -300, 300, None, "Reversal potential of inhibitory events."),
)


class OptionValues:
    """The options of one detector as they were given, checked against what it declares.

    Parameters
    ----------
    detector : name, for messages.
    declared : what may be set.
    given : value by name.

    Raises
    ------
    RecordingError
        If a name is not declared, or a value is no finite number or out of its range.
    """

    def __init__(self, detector: str, declared: Sequence[Option], given: Mapping[str, float]) -> None:
        self._defaults = {option.name: option.default for option in declared}
        by_name = {option.name: option for option in declared}
        unknown = [name for name in given if name not in by_name]
        if unknown:
            raise RecordingError(_unknown(detector, unknown[0], list(by_name)))
        self._given = {name: _checked(detector, by_name[name], value) for name, value in given.items()}

    def __contains__(self, name: str) -> bool:
        """Return whether a value was given."""
        return name in self._given

    def __getitem__(self, name: str) -> float:
        """Return the value that was given, or the declared default.

        Raises
        ------
        KeyError
            If nothing was given and the detector has no fixed default; see `get`.
        """
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str) -> float | None:
        """Return the value that was given, or the declared default; None where that is the recording's own."""
        default = self._defaults[name]
        return self._given.get(name, default)

    def given(self, name: str, otherwise: float) -> float:
        """Return the value that was given, or what the recording says."""
        value = self.get(name)
        return otherwise if value is None else value


def option_values(detector: Detector, settings: DetectionSettings) -> OptionValues:
    """Return the options of a detector in these settings; those of `COMMON_OPTIONS` are checked and left out.

    Raises
    ------
    RecordingError
        If a name is not declared by the detector, or a value is no finite number or out of its range.
    """
    common = {option.name: option for option in COMMON_OPTIONS}
    for name in common.keys() & settings.options.keys():
        _checked(detector.name, common[name], settings.options[name])
    own = {name: value for name, value in settings.options.items() if name not in common}
    return OptionValues(detector.name, detector.options, own)


def option_from_text(text: str) -> tuple[str, float]:
    """Return name and value of "name=value", as the command line takes it.

    Raises
    ------
    RecordingError
        If there is no name or no number.
    """
    name, _, value = text.partition("=")
    try:
        return _named(name), float(value)
    except ValueError as error:
        raise RecordingError(f"option {text!r}: write NAME=NUMBER, for example sigma=4") from error


def options_from_text(text: str) -> dict[str, float]:
    """Return the options in "name=value, name=value", as a person types them; none in an empty text.

    Raises
    ------
    RecordingError
        If a part has no name or no number.
    """
    return dict(option_from_text(part) for part in text.split(",") if part.strip())


def option_lines(options: Sequence[Option]) -> list[str]:
    """Return one line per option for a person: name, unit, range, default and what it does."""
    return [
        f"{option.name} ({_range(option)}; default {_default(option)}): {option.help}" for option in options
    ]


def _named(name: str) -> str:
    if not name.strip():
        raise ValueError(name)
    return name.strip()


def _unknown(detector: str, name: str, known: list[str]) -> str:
    if not known:
        return f"the detector {detector} has no option {name!r}: it has no options at all; leave it out"
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"the detector {detector} has no option {name!r}: {hint}its options are {', '.join(known)}"


def _checked(detector: str, option: Option, value: object) -> float:
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number) or not option.low <= number <= option.high:
        raise RecordingError(
            f"option {option.name} = {value!r} of the detector {detector}: "
            f"give {_range(option)} (default {_default(option)})"
        )
    return number


def _range(option: Option) -> str:
    unit = f" {option.unit}" if option.unit else ""
    low, high = math.isfinite(option.low), math.isfinite(option.high)
    if low and high:
        return f"{option.low:g} to {option.high:g}{unit}"
    if low:
        return f"{option.low:g}{unit} or more"
    return f"any number{' in' + unit if unit else ''}"


def _default(option: Option) -> str:
    return "from the recording" if option.default is None else f"{option.default:g}"
