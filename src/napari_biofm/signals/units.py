"""Units as recordings spell them, and their SI counterparts."""

from __future__ import annotations

import re

_BASES = {
    "A": ("A", 1.0),
    "V": ("V", 1.0),
    "s": ("s", 1.0),
    "Hz": ("Hz", 1.0),
    "m": ("m", 1.0),
    "Pa": ("Pa", 1.0),
    "F": ("F", 1.0),
    "S": ("S", 1.0),
    "Ohm": ("Ohm", 1.0),
    "W": ("W", 1.0),
    "N": ("N", 1.0),
}
_PREFIXES = {"": 1.0, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_WHOLE = {"mmHg": ("Pa", 133.322387415), "cmH2O": ("Pa", 98.0665), "%": ("", 0.01), "min": ("s", 60.0)}
_SPELLINGS = {
    "df/f": "dF/F",
    "dff": "dF/F",
    "d(f)/f": "dF/F",
    "\N{GREEK SMALL LETTER DELTA}f/f": "dF/F",
    "\N{INCREMENT}f/f": "dF/F",
}
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
_SPLIT = re.compile(r"^([fpnumkMG]?)(A|V|s|Hz|m|Pa|F|S|Ohm|W|N)$")


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
    return _SPELLINGS.get(unit.lower(), unit) or "?"


def si_unit(unit: str) -> tuple[str, float]:
    """Return the SI unit behind `unit` and the factor that takes a value there.

    Examples
    --------
    >>> si_unit("pA")
    ('A', 1e-12)

    A unit that is not known, such as "dF/F", "?" or "deg C", comes back with factor 1.
    """
    unit = clean_unit(unit)
    if unit in _WHOLE:
        return _WHOLE[unit]
    match = _SPLIT.match(unit)
    if match is None:
        return unit, 1.0
    base, scale = _BASES[match.group(2)]
    return base, _PREFIXES[match.group(1)] * scale


def same_quantity(first: str, second: str) -> bool:
    """Say whether two units measure the same thing, e.g. "mV" and "V"."""
    return si_unit(first)[0] == si_unit(second)[0]
