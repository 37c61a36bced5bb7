"""Units in every spelling: to SI and back, and what is no unit stays as it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_biofm.signals.units import clean_unit, same_quantity, si_unit

PREFIXES = {"": 0, "f": -15, "p": -12, "n": -9, "u": -6, "\N{MICRO SIGN}": -6, "\N{GREEK SMALL LETTER MU}": -6,
            "m": -3, "k": 3, "M": 6, "G": 9}  # fmt: skip
BASES = {
    "A": ("A", "Amp", "amps", "ampere", "Amperes"),
    "V": ("V", "volt", "Volts"),
    "s": ("s", "sec", "second", "Seconds"),
    "Hz": ("Hz", "hertz"),
    "Pa": ("Pa", "pascal"),
    "F": ("F", "farads"),
    "S": ("S", "siemens", "Siemens"),
    "W": ("W",),
    "N": ("N",),
    "m": ("m",),
    "Ohm": ("Ohm", "ohm", "ohms", "\N{OHM SIGN}", "\N{GREEK CAPITAL LETTER OMEGA}"),
}
spelled = st.sampled_from([
    (prefix + word, base, 10.0**power)
    for base, words in BASES.items()
    for word in words
    for prefix, power in PREFIXES.items()
])  # fmt: skip
padding = st.text(st.sampled_from(" \t\0\r\n\N{NO-BREAK SPACE}"), max_size=4)


@pytest.mark.parametrize("base", list(BASES))
@pytest.mark.parametrize("prefix", list(PREFIXES))
def test_every_prefix_and_spelling_of_a_unit_is_its_si_unit(base: str, prefix: str) -> None:
    for word in BASES[base]:
        unit, factor = si_unit(prefix + word)
        assert unit == base, prefix + word
        assert factor == pytest.approx(10.0 ** PREFIXES[prefix], rel=1e-12), prefix + word


@pytest.mark.parametrize(
    ("text", "unit", "factor"),
    [
        ("picoamperes", "A", 1e-12),
        ("Millivolts", "V", 1e-3),
        ("megaohm", "Ohm", 1e6),
        ("microseconds", "s", 1e-6),
        ("kilohertz", "Hz", 1e3),
        ("mmHg", "Pa", 133.322387415),
        ("min", "s", 60.0),
        ("%", "", 0.01),
    ],
)
def test_units_in_words_and_units_of_their_own_have_their_factor(text: str, unit: str, factor: float) -> None:
    assert si_unit(text) == (unit, pytest.approx(factor))


@given(spelled, padding, padding)
def test_padding_of_file_headers_changes_no_unit(
    unit: tuple[str, str, float], before: str, after: str
) -> None:
    text, base, factor = unit
    assert si_unit(before + text + after) == (base, pytest.approx(factor))
    assert clean_unit(before + text + after) == clean_unit(text)


@given(spelled, st.floats(-1e12, 1e12))
def test_a_value_goes_to_si_and_back(unit: tuple[str, str, float], value: float) -> None:
    _, factor = si_unit(unit[0])
    assert math.isclose(value * factor / factor, value, rel_tol=1e-12, abs_tol=1e-300)


@given(spelled, spelled)
def test_two_units_measure_the_same_where_their_si_unit_is_one(
    first: tuple[str, str, float], second: tuple[str, str, float]
) -> None:
    assert same_quantity(first[0], second[0]) == (first[1] == second[1])
    assert same_quantity(first[0], second[0]) == same_quantity(second[0], first[0])


@given(st.text(max_size=12))
def test_cleaning_a_unit_twice_is_cleaning_it_once_and_leaves_something(text: str) -> None:
    clean = clean_unit(text)
    assert clean and clean == clean_unit(clean) and clean.isprintable()
    unit, factor = si_unit(text)
    assert math.isfinite(factor) and factor > 0
    assert si_unit(unit)[0] == unit or factor == 1.0


@pytest.mark.parametrize(
    "text", ["dF/F", "DFF", "\N{INCREMENT}F/F", "\N{GREEK SMALL LETTER DELTA}F/F", "d(F)/F"]
)
def test_every_spelling_of_relative_fluorescence_is_one(text: str) -> None:
    assert clean_unit(text) == "dF/F" and si_unit(text) == ("dF/F", 1.0)


@pytest.mark.parametrize("text", ["", " ", "\0\0", "\t"])
def test_no_unit_is_said_to_be_unknown(text: str) -> None:
    assert clean_unit(text) == "?" and si_unit(text) == ("?", 1.0)
