"""The same recording in another unit gives the same numbers, in that unit: nothing counts as small by itself."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.events.average import histogram
from napari_biofm.events.channels.idealization import idealize
from napari_biofm.events.channels.openings import opening_events
from napari_biofm.types import Trace

FS = 10_000.0


def channel() -> np.ndarray:
    """pA; one channel of 3 pA, open for a third of the time, SD .3 pA."""
    rng = np.random.default_rng(2)
    dwells = rng.exponential(np.tile([0.04, 0.02], 60)) * FS
    n_open = np.repeat(np.tile([0, 1], 60), np.maximum(dwells.astype(int), 5))
    return 3.0 * n_open + rng.normal(0, 0.3, len(n_open))


@pytest.mark.parametrize(("unit", "size"), [("A", 1e-12), ("nA", 1e-3), ("fA", 1e3)])
def test_channels_are_idealised_in_any_unit(unit: str, size: float) -> None:
    x = channel()
    plain = idealize(Trace(x.astype(np.float32), FS, "pA"))
    signal = Trace((x * size).astype(np.float32), FS, unit)
    other = idealize(signal)
    assert len(plain.levels) == 2
    np.testing.assert_array_equal(other.n_open, plain.n_open)
    np.testing.assert_allclose(other.levels, plain.levels * size, rtol=1e-4)
    np.testing.assert_allclose(other.noise, plain.noise * size, rtol=1e-3)
    events = opening_events(signal)
    assert np.median(events["amplitude"]) == pytest.approx(3 * size, rel=0.02)


@pytest.mark.parametrize("size", [1.0, 1e-12, -3e-12, 0.0])
def test_values_that_are_alike_lie_in_a_histogram_of_their_size(size: float) -> None:
    made = histogram(np.full(20, size), "amplitude (A)")
    assert made.counts.sum() == 20
    assert np.ptp(made.edges) == pytest.approx(0.2 * abs(size) if size else 1.0)
    assert made.edges[0] < size < made.edges[-1]
