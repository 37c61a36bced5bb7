"""Units as recordings spell them, their quantities, and the factors between them.

The only place that knows spellings, prefixes and quantities.
"""

from __future__ import annotations

import re

_BASES = ("A", "V", "s", "Hz", "m", "Pa", "F", "S", "Ohm", "W", "N")
_POWERS = {"": 0, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9}  # of ten, per prefix
_WHOLE = {
    "mmHg": ("Pa", 133.322387415),
    "cmH2O": ("Pa", 98.0665),
    "%": ("", 0.01),
    "%dF/F": ("dF/F", 0.01),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
}
_SHOWN = {"A": "pA", "V": "mV"}  # electrophysiologists do not read amperes and volts
_SPELLINGS = {
    "df/f": "dF/F",
    "dff": "dF/F",
    "d(f)/f": "dF/F",
    "\N{GREEK SMALL LETTER DELTA}f/f": "dF/F",
    "\N{INCREMENT}f/f": "dF/F",
    "df/f0": "dF/F",
    "%df/f": "%dF/F",
    "% df/f": "%dF/F",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
}
_CASES = {  # the letters of a unit in the wrong case, where they can mean nothing else
    "a": "A", "v": "V", "pa": "pA", "PA": "pA", "na": "nA", "ua": "uA", "UA": "uA", "mv": "mV", "uv": "uV", "UV": "uV",
}  # fmt: skip
_SYMBOLS = {
    "amp": "A",
    "ampere": "A",
    "farad": "F",
    "hertz": "Hz",
    "ohm": "Ohm",
    "pascal": "Pa",
    "sec": "s",
    "second": "s",
    "siemens": "S",
    "volt": "V",
}
_PREFIX_WORDS = {
    "femto": "f",
    "pico": "p",
    "nano": "n",
    "micro": "u",
    "milli": "m",
    "kilo": "k",
    "mega": "M",
    "giga": "G",
}
_WORD = re.compile(
    rf"^([fpnumkMG]?|(?i:{'|'.join(_PREFIX_WORDS)}))(?i:({'|'.join(_SYMBOLS)})s?)$"
)  # a prefix of one letter counts its case, words do not
_SPLIT = re.compile(rf"^([fpnumkMG]?)({'|'.join(_BASES)})$")


def clean_unit(text: str) -> str:
    """Return `text` with control characters, padding and spelling variants removed; "?" if empty.

    Both micro signs become "u", so that "\N{MICRO SIGN}V" and "uV" are one unit; words become symbols, with
    their prefix: "Mohm", "megaohms" and "MOhm" are one unit, too.
    """
    unit = "".join(c for c in text if c.isprintable()).strip()
    unit = unit.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    unit = unit.replace("\N{OHM SIGN}", "Ohm").replace("\N{GREEK CAPITAL LETTER OMEGA}", "Ohm")
    word = _WORD.match(unit)
    if word is not None:
        prefix = _PREFIX_WORDS.get(word.group(1).lower(), word.group(1))
        return prefix + _SYMBOLS[word.group(2).lower()]
    return _CASES.get(unit) or _SPELLINGS.get(unit.lower(), unit) or "?"


def si_unit(unit: str) -> tuple[str, float]:
    """Return the SI unit behind `unit` and the factor that takes a value there.

    Examples
    --------
    >>> si_unit("pA")
    ('A', 1e-12)

    A unit that is not known, such as "dF/F", "?" or "deg C", comes back with factor 1.
    """
    base, power, scale = _parsed(unit)
    return base, _ten_to(power) * scale


def conversion(unit: str, to: str) -> float | None:
    """Return the factor that takes values in `unit` to the unit `to`; None where they are different quantities.

    Exact for powers of ten, where a way through SI is not.

    Examples
    --------
    >>> conversion("nA", "pA"), conversion("uV", "mV"), conversion("mV", "pA")
    (1000.0, 0.001, None)
    """
    (base, power, scale), (other, other_power, other_scale) = _parsed(unit), _parsed(to)
    if base != other:
        return None
    return _ten_to(power - other_power) * (scale / other_scale)


def shown_unit(unit: str) -> tuple[str, float]:
    """Return the unit in which values of a file are shown, and the factor that takes them there.

    Amperes are shown in pA, volts in mV, everything else as it is.

    Examples
    --------
    >>> shown_unit("volts"), shown_unit("nA"), shown_unit("dF/F")
    (('mV', 1000.0), ('nA', 1.0), ('dF/F', 1.0))
    """
    cleaned = clean_unit(unit)
    shown = _SHOWN.get(cleaned, cleaned)
    return shown, conversion(cleaned, shown) or 1.0


def quantity(unit: str) -> str:
    """Return the SI unit of what is measured: "A" for all currents, "V" for all voltages."""
    return _parsed(unit)[0]


def _parsed(unit: str) -> tuple[str, int, float]:
    """Return SI unit, power of ten and any other factor of a unit; itself where it is not known."""
    unit = clean_unit(unit)
    if unit in _WHOLE:
        base, scale = _WHOLE[unit]
        return base, 0, scale
    match = _SPLIT.match(unit)
    return (unit, 0, 1.0) if match is None else (match.group(2), _POWERS[match.group(1)], 1.0)


def _ten_to(power: int) -> float:
    return float(f"1e{power}")  # the nearest number to it, which 10.0 ** power is not always


def same_quantity(first: str, second: str) -> bool:
    """Say whether two units measure the same thing, e.g. "mV" and "V"."""
    return quantity(first) == quantity(second)
