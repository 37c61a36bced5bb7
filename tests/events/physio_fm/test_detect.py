"""Detection: the same answer however it is read, and clear words for bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

from napari_biofm.events.physio_fm import PhysioFM, resampling
from napari_biofm.events.physio_fm.forecast import forecast_quantiles
from napari_biofm.events.physio_fm.table import likely_best
from napari_biofm.types import DetectionSettings, Detector, RecordingError, Trace, run_task


def trace(rng: np.random.Generator, n: int, fs: float = 20e3, unit: str = "pA") -> Trace:
    x = rng.normal(size=n) * 3
    for a in rng.integers(0, max(1, n - 300), n // 3000):
        x[a : a + 300] -= 30 * np.exp(-np.arange(300) / 60)
    return Trace(x.astype(np.float32), fs, unit)


def settings(kind: Any = "psc", **options: Any) -> DetectionSettings:
    return DetectionSettings(kind=kind, all_scores=True, **options)


class Slices:
    """A recording on disk: slices only, counts what is read at a time."""

    def __init__(self, values: np.ndarray) -> None:
        self.stored, self.most = np.round(values * 100).astype(np.int16), 0

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, item: slice) -> np.ndarray:
        self.most = max(self.most, item.stop - item.start)
        return self.stored[item]


def test_it_is_a_detector(model: PhysioFM) -> None:
    assert isinstance(model, Detector)
    assert model.name == "physio-fm"


@pytest.mark.parametrize("kind", ["psc", "ap", "spike"])
def test_a_part_read_alone_gives_the_same_windows_as_the_whole(
    model: PhysioFM, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    signal = trace(rng, 150_000)
    whole = run_task(model.detect(signal, settings(kind)))
    monkeypatch.setattr("napari_biofm.events.physio_fm.streaming.BATCH", 3)  # another chunk size
    other = run_task(model.detect(signal, settings(kind)))
    assert len(whole) > 20
    assert len(whole) == len(other)
    np.testing.assert_allclose(whole["time_s"], other["time_s"], atol=1e-6)
    np.testing.assert_allclose(whole["score"], other["score"], atol=1e-4)
    np.testing.assert_allclose(whole["amplitude"], other["amplitude"], rtol=1e-3, atol=1e-2)


def test_the_same_call_twice_gives_the_same_table(model: PhysioFM, rng: np.random.Generator) -> None:
    signal = trace(rng, 60_000)
    a, b = (run_task(model.detect(signal, settings())) for _ in range(2))
    assert a.tobytes() == b.tobytes()


def test_a_recording_on_disk_is_read_in_small_pieces(model: PhysioFM, rng: np.random.Generator) -> None:
    signal = trace(rng, 400_000)
    lazy = Slices(signal.values)
    table = run_task(model.detect(Trace(lazy, 20e3, "pA"), settings()))  # type: ignore[arg-type]
    memory = run_task(model.detect(Trace(lazy.stored.astype(np.float32), 20e3, "pA"), settings()))
    assert lazy.most < 40_000
    assert table.tobytes() == memory.tobytes()


def test_first_events_come_before_the_last_sample_is_read(model: PhysioFM, rng: np.random.Generator) -> None:
    task = model.detect(trace(rng, 400_000), settings())
    first = next(task)
    assert first.done < first.total / 3
    assert len(first.payload) > 0


def test_windows_use_every_sample_once() -> None:
    for n in (1, 100, 4096, 4097, 5000, 20_001):
        found = list(resampling.windows(n))
        used = np.concatenate([np.arange(w.first, w.last) for w in found])
        np.testing.assert_array_equal(used, np.arange(n))
        assert all(w.start <= w.first and w.last <= w.stop for w in found)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0), np.zeros(3), np.ones(3), np.ones(50_000), np.full(1000, np.nan), np.r_[np.ones(3),
        np.nan], np.full(9000, np.inf),
    ],
    ids=["empty", "three", "three ones", "constant", "all gaps", "nearly nothing", "infinite"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["auto", "psc", "ap", "calcium", "channel", "spike", "ecg"])
def test_where_there_is_nothing_the_table_is_empty(model: PhysioFM, values: np.ndarray, kind: str) -> None:
    table = run_task(model.detect(Trace(values.astype(np.float32), 20e3, "pA"), settings(kind)))
    assert len(table) == 0
    assert "time_s" in (table.dtype.names or ())


@pytest.mark.parametrize("fs", [7.0, 1e3, 500e3])
@pytest.mark.parametrize("unit", ["pA", "mV", "dF/F", "", "furlongs"])
def test_any_rate_and_unit_is_worked_on(
    model: PhysioFM, rng: np.random.Generator, fs: float, unit: str
) -> None:
    signal = trace(rng, 4000 if fs < 100 else 20_000, fs, unit)
    table = run_task(model.detect(signal, settings("auto")))
    assert np.isfinite(table["time_s"]).all()
    assert set(table["unit"]) <= {unit}


def test_nothing_is_found_inside_a_gap(model: PhysioFM, rng: np.random.Generator) -> None:
    signal = trace(rng, 100_000)
    signal.values[40_000:60_000] = np.nan
    table = run_task(model.detect(signal, settings()))
    inside = (table["time_s"] > 2.001) & (table["time_s"] < 2.999)
    assert len(table) > 0
    assert not inside.any()


def test_amplitudes_are_in_the_unit_of_the_recording(model: PhysioFM, rng: np.random.Generator) -> None:
    signal = trace(rng, 60_000)
    nano = Trace(signal.values / np.float32(1000), 20e3, "nA")
    a, b = (run_task(model.detect(s, settings())) for s in (signal, nano))
    assert len(a) == len(b)
    np.testing.assert_allclose(a["amplitude"], 1000 * b["amplitude"], rtol=1e-2, atol=0.1)


def test_a_sampling_rate_of_zero_is_told(model: PhysioFM) -> None:
    with pytest.raises(RecordingError, match="sampling rate 0"):
        run_task(model.detect(Trace(np.zeros(100, np.float32), 0.0, "pA"), settings()))


def test_a_unit_that_is_not_understood_is_told_with_a_proposal(
    model: PhysioFM, rng: np.random.Generator
) -> None:
    said = model.describe(trace(rng, 30_000, unit="furlongs"))
    assert said["proposed_unit"] in ("pA", "mV", "dF/F", "uV")
    assert "furlongs" in said["messages"][0]


def test_vectors_surprise_and_forecast_have_their_shapes(model: PhysioFM, rng: np.random.Generator) -> None:
    signal = trace(rng, 30_000)
    vectors = model.embed(signal, np.array([0.1, 0.7, 1.4]), "psc")
    assert vectors.shape == (3, 16)
    assert model.embed(signal, kind="psc").shape == (1, 32)
    surprise, rate = model.surprise(signal, "psc")
    assert surprise.shape == (15_000,)
    assert rate == 10e3
    quantiles, q, time_s = model.forecast(signal, 1.0, 40)
    assert quantiles.shape == (len(q), 40)
    assert time_s[0] == pytest.approx(1.0)
    assert (np.diff(quantiles, axis=0) >= -1e-6).all()
    with pytest.raises(RecordingError, match="the sweep lasts"):
        model.forecast(signal, 9.0, 40)


def test_a_forecast_of_a_sine_beats_its_spread(model: PhysioFM) -> None:
    t = np.arange(20_000) / 1000
    signal = Trace(np.sin(2 * np.pi * 7 * t).astype(np.float32), 1000.0, "mV")
    quantiles, q, time_s = model.forecast(signal, 15.0, 100)
    middle = quantiles[list(q).index(0.5)]
    np.testing.assert_allclose(middle, np.sin(2 * np.pi * 7 * time_s), atol=0.1)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_forecast_right_after_a_step_stays_in_what_was_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = 2 * rng.normal(size=652)
    x[600:] -= 500 * np.exp(-np.arange(52) / 40)  # the only transient of a short past goes on
    said = forecast_quantiles(x, 48, "current")
    assert said[len(said) // 2].min() > x.min() - 10
    assert said[len(said) // 2].max() < x.max() + 10


def test_rates_have_the_shape_of_the_movie_and_a_band(model: PhysioFM, rng: np.random.Generator) -> None:
    for fs in (7.8, 30.0, 122.0, 500.0):
        rate, low, high = model.rate(rng.normal(size=(3, 700)).astype(np.float32), fs)
        assert rate.shape == low.shape == high.shape == (3, 700)
        assert (low <= high).all()
        assert (rate >= 0).all()


def test_calcium_transients_have_the_size_and_decay_of_the_trace() -> None:
    rng, fs = np.random.default_rng(4), 30.0
    spikes = np.arange(60, 3500, 150)
    drive = np.zeros(3600)
    drive[spikes] = 0.3
    x = lfilter([1.0], [1, -np.exp(-1 / (0.6 * fs))], drive) + 0.03 * rng.normal(size=3600)
    found = run_task(PhysioFM().detect(Trace(x, fs, "dF/F"), DetectionSettings(kind="calcium")))
    near = np.abs(found["time_s"][:, None] - spikes / fs).min(1) < 0.1
    assert near.sum() >= len(spikes) - 1
    assert np.median(found["amplitude"][near]) == pytest.approx(0.3, rel=0.15)
    assert np.nanmedian(found["decay_s"][near]) == pytest.approx(0.6, rel=0.3)
    assert (found["amplitude"] >= 0).all()


def test_the_threshold_of_a_quiet_recording_is_higher_than_that_of_a_busy_one() -> None:
    quiet = likely_best(np.array([0.95, 0.9, 0.9, 0.3, 0.25, 0.25, 0.2]))
    busy = likely_best(np.array([0.5, 0.4, 0.4, 0.3, 0.3, 0.25, 0.25]))
    assert busy < 0.35 < quiet <= 0.9
    assert likely_best(np.zeros(0)) == likely_best(np.full(5, 0.01)) == 0.1


def test_a_threshold_that_is_given_stands() -> None:
    rng = np.random.default_rng(5)
    drive = np.where(
        np.arange(2000) % 70 == 50, rng.uniform(0.05, 0.4, 2000), 0
    )  # mere noise has no score above 0.1
    x = (lfilter([1.0], [1, -0.94], drive) + 0.06 * rng.normal(size=2000)).astype(np.float32)
    found = {
        t: run_task(
            PhysioFM().detect(
                Trace(x, 30.0, "dF/F"), DetectionSettings(kind="calcium", options={"threshold": t})
            )
        )
        for t in (0.05, 0.5)
    }
    assert len(found[0.05]) > len(found[0.5])
    assert (found[0.05]["score"] >= 0.05).all()
