"""Template, deconvolution and threshold find simulated synaptic currents, and measure them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.counting import at_most
from tests.events.generators import FS, detect, f1, real, synaptic

from napari_biofm.events.classical.deconvolution import deconvolution_kernel, gaussian_fit
from napari_biofm.events.classical.filters import convolve
from napari_biofm.events.classical.shape import Shape, fit_biexponential
from napari_biofm.events.classical.template import detection_criterion
from napari_biofm.simulate import voltage_clamp
from napari_biofm.types import run_task


@pytest.mark.parametrize(
    ("name", "least"), [("template", 0.95), ("deconvolution", 0.98), ("threshold", 0.85)]
)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_clear_events_are_found_in_either_direction(name: str, least: float, sign: float) -> None:
    values, times = synaptic(np.random.default_rng(0), 60, 10, snr=8, sign=sign)
    events = real(detect(name, values, FS, "pA", "psc"))
    assert f1(times, events["time_s"], 0.003) >= least
    assert set(events["class"]) == {"PSC"} and set(np.sign(events["amplitude"])) == {sign}


@pytest.mark.parametrize("name", ["template", "deconvolution"])
def test_amplitude_rise_and_decay_are_those_of_the_simulation(name: str) -> None:
    values, _ = synaptic(np.random.default_rng(1), 60, 10, snr=10)
    events = detect(name, values, FS, "pA", "psc")
    assert np.median(events["amplitude"]) == pytest.approx(-20, rel=0.1)
    assert np.nanmedian(events["decay_s"]) == pytest.approx(5e-3, rel=0.15)
    assert np.nanmedian(events["rise_s"]) == pytest.approx(0.42e-3, rel=0.35)


@pytest.mark.parametrize(
    ("name", "least"), [("template", 0.84), ("deconvolution", 0.90), ("threshold", 0.70)]
)
def test_weak_events_among_test_pulses(name: str, least: float) -> None:
    trace = voltage_clamp(30, noise_pa=5.0, inhibitory=0.0, seed=5)
    events = real(detect(name, trace.values, FS, "pA", "psc"))
    assert f1(trace.event_times, events["time_s"], 0.005) >= least


def test_both_directions_are_found_where_both_occur() -> None:
    trace = voltage_clamp(30, inhibitory=0.3, seed=6)
    events = real(detect("deconvolution", trace.values, FS, "pA", "psc"))
    for word, sign in (("EPSC", -1), ("IPSC", 1)):
        truth = trace.event_times[trace.event_classes == word]
        assert f1(truth, events["time_s"][np.sign(events["amplitude"]) == sign], 0.005) >= 0.85


def test_the_sign_can_be_fixed() -> None:
    trace = voltage_clamp(10, inhibitory=0.3, seed=6)
    events = detect("template", trace.values, FS, "pA", "psc", sign=1.0)
    assert set(real(events)["class"]) == {"PSC"} and np.all(real(events)["amplitude"] > 0)


def test_noise_alone_gives_hardly_any_event() -> None:
    noise = np.random.default_rng(2).normal(0, 3, 400_000)
    assert len(detect("template", noise, FS, "pA", "psc")) <= 20
    assert len(detect("deconvolution", noise, FS, "pA", "psc")) <= 20
    assert len(detect("threshold", noise, FS, "pA", "psc")) <= 20


def test_the_criterion_is_that_of_a_least_squares_fit() -> None:
    rng = np.random.default_rng(3)
    trace, template = rng.normal(size=200), np.exp(-np.arange(30) / 8)
    criterion = detection_criterion(trace, template)
    for start in (0, 57, 170):
        piece = trace[start : start + 30]
        design = np.stack([template, np.ones(30)], axis=1)
        fit, residual, *_ = np.linalg.lstsq(design, piece, rcond=None)
        assert criterion[start] == pytest.approx(fit[0] / np.sqrt(residual[0] / 29), rel=1e-6)
    assert len(criterion) == 171


def test_deconvolution_turns_an_event_into_a_gaussian_at_its_onset() -> None:
    shape = Shape(0.5e-3, 5e-3, 1.0)
    trace = np.zeros(4000, np.float32)
    wave = shape.wave(FS, 0.06)
    trace[2000 : 2000 + len(wave)] = wave
    kernel = deconvolution_kernel(FS, shape)
    quotient = run_task(convolve(trace, kernel, len(kernel) // 2))
    assert abs(int(np.argmax(quotient)) - 2000) <= 1
    assert np.abs(quotient[2200:3200]).max() < 0.02 * quotient.max()


def test_a_long_convolution_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=30_000).astype(np.float32)
    kernel = np.hanning(101)
    whole = run_task(convolve(values, kernel, 50))
    monkeypatch.setattr("napari_biofm.events.classical.filters.BLOCK", 1000)
    np.testing.assert_allclose(run_task(convolve(values, kernel, 50)), whole, atol=1e-4)


def test_the_gaussian_fit_does_not_see_the_events() -> None:
    values = np.random.default_rng(5).normal(2, 3, 200_000)
    values[:6000] += 30
    mean, sd = gaussian_fit(values.astype(np.float32))
    assert (mean, sd) == (pytest.approx(2, abs=0.2), pytest.approx(3, rel=0.05))


def test_two_exponentials_are_fitted() -> None:
    t = np.arange(1200) / FS - 3e-3
    late = np.clip(t, 0, None)
    rise, decay = fit_biexponential((1 - np.exp(-late / 0.5e-3)) * np.exp(-late / 6e-3), FS)
    assert rise == pytest.approx(0.5e-3, rel=0.3)
    assert decay == pytest.approx(6e-3, rel=0.2)


@pytest.mark.parametrize("name", ["template", "deconvolution", "threshold"])
def test_a_million_samples_are_not_looked_at_one_by_one(name: str) -> None:
    values, _ = synaptic(np.random.default_rng(6), 500, 50, snr=8)
    with at_most(calls=len(values) // 20):
        detect(name, values, FS, "pA", "psc")
