"""Built-in probes: what was forgotten is told for every kind that can be taught."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm import PhysioFM
from napari_biofm.events.physio_fm.probes import built_in_probes
from napari_biofm.types import DetectionSettings, run_task


@pytest.fixture(scope="module")
def stock() -> PhysioFM:
    """The shipped model: what it knows is the point here."""
    return PhysioFM(threads=1)


@pytest.mark.parametrize("kind", ["psc", "ap", "spike", "calcium", "ecg"])
def test_the_stock_model_finds_the_events_of_its_probes(stock: PhysioFM, kind: str) -> None:
    events = found = told = 0
    for signal, truth in built_in_probes(kind):
        table = run_task(stock.detect_stock(signal, DetectionSettings(kind=kind)))
        gap = np.abs(truth[:, None] - table["time_s"][None]).min(1)
        events, found = events + len(truth), found + int((gap <= KINDS[kind].probe_tolerance_s).sum())
        told += len(table)
    assert events >= 10 and found >= 0.9 * events and told <= 1.1 * events


def test_probes_are_the_same_every_time_and_there_are_none_for_channels() -> None:
    (first, _), *_ = built_in_probes("spike")
    (again, _), *_ = built_in_probes("spike")
    np.testing.assert_array_equal(first.values, again.values)
    assert built_in_probes("channel") == []
