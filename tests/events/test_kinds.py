"""One table of the kinds of signal: everything that is said of a kind is said there."""

from __future__ import annotations

from typing import get_args

import pytest

from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.events.kinds import KINDS, kind_of_class, kinds_in_unit
from napari_biofm.events.physio_fm.input_encoding import TOKEN_KINDS, UNITS
from napari_biofm.types import EVENT_CLASSES, Kind


def test_every_kind_has_a_row_in_the_order_of_the_network() -> None:
    assert tuple(KINDS) == tuple(k for k in get_args(Kind) if k != "auto")
    assert (
        TOKEN_KINDS == tuple(KINDS)[: len(TOKEN_KINDS)] == ("psc", "ap", "calcium", "channel", "spike", "ecg")
    )
    assert all(KINDS[spec.network].network == spec.network for spec in KINDS.values())


@pytest.mark.parametrize("name", KINDS)
def test_a_row_fits_what_else_there_is(name: str) -> None:
    spec = KINDS[name]
    assert spec.name == name and set(spec.units) <= set(UNITS) and set(spec.classes) <= set(EVENT_CLASSES)
    assert spec.slowest_rate < spec.fastest_rate and spec.lowest_rate <= spec.target_rate
    assert spec.default_detector in DETECTORS
    assert name in make_detector(spec.default_detector).kinds


def test_every_class_of_events_belongs_to_one_kind() -> None:
    events = [name for name in EVENT_CLASSES if name not in ("artefact", "rejected")]
    assert all(name in KINDS[str(kind_of_class(name))].classes for name in events)
    assert kind_of_class("artefact") is None
    assert kind_of_class("spike") == "spike"  # a loose patch has spikes too
    assert {name for spec in KINDS.values() for name in spec.classes} == set(events)


def test_unit_and_sampling_rate_narrow_the_kinds() -> None:
    assert kinds_in_unit("pA", 20e3) == ("psc", "channel", "loose")
    assert kinds_in_unit("mV", 20e3) == ("ap", "spike", "psp")
    assert kinds_in_unit("mV", 300.0) == ("ecg",)
    assert kinds_in_unit("uV", 24e3) == ("spike",)
    assert kinds_in_unit("other", 30.0) == ("calcium", "ecg")
    assert kinds_in_unit("pA", 100.0) == ("psc", "channel", "loose")  # none at this rate: the unit decides
