"""Whatever the zoom, what is drawn contains the extrema of what is there."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_biofm.signals import Channel, Recording
from napari_biofm.signals import pyramid as building
from napari_biofm.signals.pyramid import Pyramid, build_pyramids, scaled_envelope
from napari_biofm.signals.samples import InterleavedSamples
from napari_biofm.types import Progress, run_task


def _recording(data: np.ndarray, scales: tuple = ((0.5, 1.0), (-0.5, 0.0))) -> Recording:
    bounds = np.array([[0, len(data)]])
    channels = tuple(Channel(f"IN {i}", "pA", 10_000.0) for i in range(data.shape[1]))
    return Recording(channels, InterleavedSamples(data, bounds, scales), np.zeros(1))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(-3000, 3000, (300_001, 2)).astype(np.int16)


@pytest.fixture(scope="module")
def pyramids(noise: np.ndarray) -> list[Pyramid]:
    return run_task(build_pyramids(_recording(noise), 0, [0, 1]))


def test_no_extremum_is_lost_at_any_zoom(noise: np.ndarray, pyramids: list[Pyramid]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        start, stop = np.sort(rng.integers(0, len(noise), 2))
        if start == stop:
            continue
        for channel, pyramid in enumerate(pyramids):
            seen, there = pyramid.envelope(start, stop, 500), noise[start:stop, channel]
            assert (seen.minima.min(), seen.maxima.max()) == (there.min(), there.max())
            assert pyramid.extrema(start, stop) == (there.min(), there.max())


def test_every_bin_holds_the_extrema_of_its_own_samples(noise: np.ndarray, pyramids: list[Pyramid]) -> None:
    seen = pyramids[0].envelope(1_000, 290_001, 700)
    edges = [*seen.starts.astype(int), 290_001]
    assert not seen.exact and 450 <= len(seen.starts) <= 1050
    for i, (low, high) in enumerate(zip(seen.minima, seen.maxima, strict=True)):
        there = noise[edges[i] : edges[i + 1], 0]
        assert (low, high) == (there.min(), there.max())


def test_few_samples_come_back_as_they_are(noise: np.ndarray, pyramids: list[Pyramid]) -> None:
    seen = pyramids[1].envelope(77, 177, 100)
    assert seen.exact and seen.starts[0] == 77
    np.testing.assert_array_equal(seen.minima, noise[77:177, 1])


def test_a_single_spike_survives_the_widest_view() -> None:
    data = np.zeros((1_000_000, 1), np.int16)
    data[654_321] = 1234
    pyramid = run_task(build_pyramids(_recording(data, ((1.0, 0.0),)), 0, [0]))[0]
    seen = pyramid.envelope(0, 1_000_000, 1000)
    spike = int(np.argmax(seen.maxima))
    assert seen.maxima[spike] == 1234 and seen.starts[spike] <= 654_321 < seen.starts[spike + 1]


def test_gaps_in_float_traces_hide_nothing_else() -> None:
    values = np.sin(np.arange(100_000) / 50).astype(np.float32)
    values[5_000:30_000] = np.nan
    values[40_000] = 9
    pyramid = run_task(build_pyramids(Recording.from_arrays(values, 100, "mV"), 0, [0]))[0]
    seen = pyramid.envelope(0, 100_000, 300)
    assert np.nanmax(seen.maxima) == 9 and np.isnan(seen.maxima).any()


def test_a_negative_gain_swaps_minima_and_maxima(noise: np.ndarray, pyramids: list[Pyramid]) -> None:
    seen = scaled_envelope(pyramids[1].envelope(0, 300_001, 500), (-0.5, 0.0))
    assert (seen.minima <= seen.maxima).all()
    assert seen.maxima.max() == noise[:, 1].min() * -0.5


def test_building_reports_progress_and_takes_little_memory(noise: np.ndarray) -> None:
    task = build_pyramids(_recording(noise), 0, [0, 1])
    assert isinstance(next(task), Progress)
    assert run_task(build_pyramids(_recording(noise), 0, [0]))[0].nbytes < noise.nbytes / 2 / 20


def test_a_short_trace_needs_no_levels() -> None:
    pyramid = run_task(build_pyramids(Recording.from_arrays(np.arange(50.0), 10, "pA"), 0, [0]))[0]
    assert list(pyramid.levels) == []
    assert pyramid.envelope(0, 50, 3).maxima.max() == 49
    assert len(pyramid.envelope(50, 50, 3).starts) == 0


@pytest.mark.parametrize("n", [100_003, 40 * building.BASE * building.STEP])
def test_threads_build_what_one_thread_builds(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(building, "_CHUNK", building.BASE * building.STEP)
    data = np.random.default_rng(0).integers(-3000, 3000, (n, 3)).astype(np.int16)
    one, several = (run_task(building._build(lambda a, b: data[a:b], n, 3, workers)) for workers in (1, 3))
    for (low, high), (low_3, high_3) in zip(one, several, strict=True):
        np.testing.assert_array_equal(low, low_3)
        np.testing.assert_array_equal(high, high_3)
    task = building._build(lambda a, b: data[a:b], n, 3, 3)
    next(task)
    task.close()  # stopping half way leaves no thread behind
    assert not [t for t in threading.enumerate() if t.name.startswith("pyramid")]
