"""Doses and their units: one unit for all molar doses of a map, one for all that are mass per volume."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from napari_biofm.types import ConditionsError

MOLAR = {"M": 0, "mM": -3, "uM": -6, "nM": -9, "pM": -12, "fM": -15}  # powers of ten of mol/L
MASS = {"g/mL": 0, "mg/mL": -3, "ug/mL": -6, "ng/mL": -9, "pg/mL": -12}  # powers of ten of g/mL
OTHER = ("%", "U/mL", "IU/mL", "MOI", "Gy", "x")  # kept as they are
_PER_LITRE = {"g/l": "mg/mL", "mg/l": "ug/mL", "ug/l": "ng/mL", "ng/l": "pg/mL", "mg/dl": ""}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(\S.*?)?\s*")


@dataclass(frozen=True)
class Dose:
    """A dose as it is written: a number (NaN for none) and its unit (empty where none is said)."""

    value: float
    unit: str


def plain_unit(text: str) -> str:
    """Return a unit in one spelling, `µM`, `μmol/L` and `umolar` as `uM`; empty for none.

    Raises
    ------
    ConditionsError
        If the unit is not known.
    """
    plain = text.strip().strip("()[]").replace("µ", "u").replace("μ", "u").replace(" ", "").replace("·", "")
    if not plain or plain in ("-", "a.u."):
        return ""
    low = plain.lower().replace("mcg", "ug").replace("ml-1", "/ml").replace("l-1", "/l")
    if low == "mm" or low == "m":
        return "mM" if low == "mm" else "M"
    low = re.sub(r"^([munpf]?)(?:mol/l|mol/liter|molar)$", r"\1m", low)
    for unit in (*MOLAR, *MASS, *OTHER):
        if low == unit.lower():
            return unit
    if _PER_LITRE.get(low):
        return _PER_LITRE[low]
    known = ", ".join([*MOLAR, *MASS, *OTHER])
    raise ConditionsError(f"{text.strip()!r} is no unit of dose that is known; use one of {known}.")


def read_dose(text: str) -> Dose:
    """Return a dose from `10`, `0.5 uM`, `0,5 µM` or `1e-3`; an empty text is no dose.

    Raises
    ------
    ConditionsError
        If it is no number, is negative, or may be read in two ways (`1,000`).
    """
    if text.strip().lower() in ("", "na", "n/a", "nan", "none", "-"):
        return Dose(math.nan, "")
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ConditionsError(f"{text.strip()!r} is no dose; write a number, or a number and its unit.")
    number = found[1]
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", number):
        raise ConditionsError(
            f"{text.strip()!r} may be a thousand or a decimal; write 1000 or 1.0, without a comma."
        )
    value = float(number.replace(",", "."))
    if value < 0 or not math.isfinite(value):
        raise ConditionsError(f"{text.strip()!r} is no dose; doses are 0 or more.")
    return Dose(value, plain_unit(found[2] or ""))


def one_unit(doses: Sequence[Dose]) -> tuple[list[Dose], list[str]]:
    """Return doses with one unit per kind (uM for molar, ug/mL for mass, where units are mixed), and what was done.

    Raises
    ------
    ConditionsError
        If some doses have a unit and others above 0 have none.
    """
    told: list[str] = []
    units = {dose.unit for dose in doses if dose.unit and dose.value == dose.value}
    bare = [i for i, dose in enumerate(doses) if not dose.unit and dose.value > 0]
    if units and bare:
        raise ConditionsError(
            f"{len(bare)} doses have no unit, the first is {doses[bare[0]].value:g}, while others are in "
            f"{', '.join(sorted(units))}; give every dose its unit."
        )
    out = list(doses)
    for powers, standard in ((MOLAR, "uM"), (MASS, "ug/mL")):
        mixed = sorted(units & set(powers), key=lambda unit: powers[unit])
        if len(mixed) < 2:
            continue
        told.append(f"doses in {', '.join(mixed)} were all converted to {standard}")
        for i, dose in enumerate(out):
            if dose.unit in powers:
                power = powers[dose.unit] - powers[standard]
                value = dose.value * 10.0**power if power >= 0 else dose.value / 10.0**-power
                out[i] = Dose(float(f"{value:.12g}"), standard)
    if len(units) == 1:
        out = [Dose(dose.value, next(iter(units))) if dose.value == 0 else dose for dose in out]
    return out, told
