"""Extracellular spikes, calcium, single channels and heart beats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi
from tests.events.generators import FS, calcium, channel, detect, extracellular, f1, heart

from napari_biofm.events.classical.extracellular import band_passed
from napari_biofm.events.classical.half_amplitude import idealise, levels_of
from napari_biofm.events.classical.oasis import ar1, deconvolve
from napari_biofm.types import DetectionSettings, ModelError, run_task

# ------------------------------------------------------------------ extracellular


@pytest.mark.parametrize(("snr", "least"), [(4, 0.6), (6, 0.93), (10, 0.97)])
def test_extracellular_troughs_are_found(snr: float, least: float) -> None:
    values, times = extracellular(np.random.default_rng(0), 150, 10, snr)
    events = detect("extracellular", values, FS, "uV", "spike")
    assert f1(times, events["time_s"], 0.4e-3) >= least
    assert (events["amplitude"] < 0).all()


def test_an_inverted_electrode_is_found_out_on_request() -> None:
    values, times = extracellular(np.random.default_rng(1), 100, 5, 10)
    assert f1(times, detect("extracellular", -values, FS, "uV", "spike", sign=0.0)["time_s"], 0.4e-3) >= 0.95


def test_the_band_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = extracellular(np.random.default_rng(2), 50, 3, 8)[0].astype(np.float32)
    whole = run_task(band_passed(values, FS, 300, 6000))
    monkeypatch.setattr("napari_biofm.events.classical.extracellular.BLOCK", 9000)
    np.testing.assert_allclose(run_task(band_passed(values, FS, 300, 6000)), whole, atol=1e-3)


# ------------------------------------------------------------------ calcium


@pytest.mark.parametrize("fs", [10.0, 30.0, 120.0])
def test_calcium_events_start_at_their_spike(fs: float) -> None:
    values, spikes = calcium(np.random.default_rng(3), 30, 90, fs)
    assert f1(spikes, detect("oasis", values, fs, "dF/F", "calcium")["time_s"], 0.15) >= 0.8
    events = detect("oasis", values, fs, "dF/F", "calcium", decay_s=0.6)
    assert f1(spikes, events["time_s"], 0.15) >= 0.9
    late = [np.min(np.abs(spikes - t)) for t in events["time_s"]]
    assert np.median(late) <= 1.5 / fs
    assert np.median(events["amplitude"]) == pytest.approx(0.27, rel=0.3)


def test_the_rate_is_in_spikes_per_second() -> None:
    values, spikes = calcium(np.random.default_rng(4), 30, 90, 30.0)
    result = deconvolve(values.astype(np.float32), 30.0)
    assert result.decay_s == pytest.approx(0.6, rel=0.5)
    assert result.rate(30.0).sum() / 30.0 == pytest.approx(len(spikes), rel=0.6)


def test_the_fit_is_the_minimum_of_the_model() -> None:
    rng = np.random.default_rng(5)
    values = np.convolve(rng.random(400) < 0.05, 0.9 ** np.arange(60))[:400] + rng.normal(0, 0.2, 400)
    fitted = ar1(values, 0.9)
    jumps = fitted[1:] - 0.9 * fitted[:-1]
    assert jumps.min() > -1e-9
    error = ((values - fitted) ** 2).sum()
    for _ in range(200):  # no feasible neighbour is better
        other = jumps + rng.normal(0, 0.02, len(jumps)) * (rng.random(len(jumps)) < 0.1)
        calcium_trace = np.empty(400)
        calcium_trace[0] = fitted[0]
        for i, jump in enumerate(np.maximum(other, 0)):
            calcium_trace[i + 1] = 0.9 * calcium_trace[i] + jump
        assert ((values - calcium_trace) ** 2).sum() >= error - 1e-9


def test_the_fit_equals_the_library() -> None:
    library = pytest.importorskip("oasis.oasis_methods", reason="oasis-deconv is not installed")
    values = calcium(np.random.default_rng(6), 30, 90, 30.0)[0]
    np.testing.assert_allclose(ar1(values, 0.95), library.oasisAR1(values, 0.95)[0], atol=1e-8)


def test_long_traces_are_fitted_in_blocks_without_seams() -> None:
    values = calcium(np.random.default_rng(7), 300, 900, 30.0)[0]
    g = 0.8  # 4.5 frames: many blocks
    whole = ar1(values, g)
    again = ar1(values[5000:], g)
    np.testing.assert_allclose(whole[5400:], again[400:], atol=1e-6)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "least"), [("DS09-GCaMP6f-m-V1", 0.70), ("DS14-GCaMP6s-m-V1", 0.55)])
def test_rates_of_real_cells_follow_their_spikes(name: str, least: float, shared_data: Path) -> None:
    with np.load(shared_data / "ephys" / "calcium_spikes" / f"{name}.npz") as data:
        scores = []
        for cell in ("000", "001", "002", "003", "004"):
            dff, fs = data[f"{cell}_dff"].astype(np.float32), float(data[f"{cell}_fs"])
            frame = np.clip((data[f"{cell}_spikes_s"] * fs).astype(int), 0, len(dff) - 1)
            truth = ndi.gaussian_filter1d(np.bincount(frame, minlength=len(dff)).astype(float), 0.05 * fs)
            scores.append(np.corrcoef(truth, deconvolve(dff, fs).rate(fs))[0, 1])
    assert np.median(scores) >= least


# ------------------------------------------------------------------ channels


@pytest.mark.parametrize(("n_channels", "noise"), [(1, 0.2), (1, 0.6), (3, 0.2)])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_open_channels_are_counted(n_channels: int, noise: float, direction: float) -> None:
    values, count = channel(np.random.default_rng(8), 4, n_channels, noise)
    ideal = idealise((direction * values).astype(np.float32), FS)
    assert ideal.step == pytest.approx(2.0 * direction, rel=0.05)
    assert (ideal.n_open == count).mean() >= 0.98


def test_levels_made_by_the_filter_are_no_levels() -> None:
    values, _ = channel(np.random.default_rng(9), 4, 1, 0.2)
    filtered = ndi.gaussian_filter1d(values, 3.0)
    _, step, _, steps = levels_of(filtered.astype(np.float32))
    assert steps == 1
    assert step == pytest.approx(2.0, rel=0.05)


def test_noise_alone_has_one_level() -> None:
    noise = np.random.default_rng(10).normal(0, 1, 50_000)
    assert levels_of(noise.astype(np.float32))[3] == 0
    assert len(detect("half-amplitude", noise, FS, "pA", "channel")) == 0


def test_openings_carry_their_size_and_duration() -> None:
    values = np.random.default_rng(11).normal(0, 0.1, 20_000)
    for start in range(1000, 19_000, 1000):
        values[start : start + 200] += 2.0
    events = detect("half-amplitude", values, FS, "pA", "channel")
    np.testing.assert_allclose(events["time_s"], np.arange(1000, 19_000, 1000) / FS, atol=1e-4)
    np.testing.assert_allclose(events["amplitude"], 2.0, rtol=0.05)
    np.testing.assert_allclose(events["decay_s"], 0.01, rtol=0.02)


def test_a_drifting_baseline_is_followed_on_request() -> None:
    values, count = channel(np.random.default_rng(12), 6, 1, 0.2)
    drifting = (values + 1.5 * np.sin(np.arange(len(values)) / len(values) * 6)).astype(np.float32)
    options = DetectionSettings(options={"baseline_s": 0.5})
    assert (idealise(drifting, FS, options).n_open == count).mean() >= 0.9


@pytest.mark.shared_data
def test_real_channels_with_levels_nobody_gave(shared_data: Path) -> None:
    with np.load(shared_data / "ephys" / "channels" / "deep_channel_train.npz") as data:
        for record in range(5):
            ideal = idealise(data[f"{record}_signal"], float(data[f"{record}_fs"]))
            truth = data[f"{record}_n_open"]
            assert (ideal.n_open == truth).mean() >= 0.95


# ------------------------------------------------------------------ heart


@pytest.mark.parametrize("name", ["pan-tompkins", "xqrs"])
@pytest.mark.parametrize(("noise", "direction"), [(0.03, 1.0), (0.03, -1.0), (0.15, 1.0)])
def test_heart_beats(name: str, noise: float, direction: float) -> None:
    if name == "xqrs":
        pytest.importorskip("wfdb", reason="wfdb is not installed (optional)")
    values, beats = heart(np.random.default_rng(13), 60, 300.0, noise)
    events = detect(name, direction * values, 300.0, "mV", "ecg")
    assert f1(beats, events["time_s"], 0.03) >= 0.97
    assert np.sign(np.median(events["amplitude"])) == direction


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(ModelError, match="pip install neurokit2"):
        detect("neurokit", heart(np.random.default_rng(0), 10, 300.0)[0], 300.0, "mV", "ecg")
