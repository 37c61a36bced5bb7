"""Whatever comes in, every classical detector gives a table, and says why it is empty."""

from __future__ import annotations

import numpy as np
import pytest
from tests.events.generators import FS, calcium, channel, detect, extracellular, heart, synaptic

from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.types import DetectionSettings, Detector, RecordingError, Trace

HERE = [name for name, (module, _) in DETECTORS.items() if ".classical." in module]
CLASSICAL = [name for name in HERE if name != "neurokit"]  # needs a package we do not have
FAULTS = ("gaps", "clipped", "inverted", "no unit", "step", "1 kHz", "500 kHz", "huge", "quantised")
OWN_KIND = {
    "template": "psc",
    "deconvolution": "psc",
    "prominence": "ap",
    "dvdt": "ap",
    "extracellular": "spike",
    "oasis": "calcium",
    "half-amplitude": "channel",
    "pan-tompkins": "ecg",
    "xqrs": "ecg",
}


def _trace(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, float, str]:
    if kind == "ap":
        values = np.full(40_000, -65.0) + rng.normal(0, 0.3, 40_000)
        t = np.arange(-20, 60) / FS * 1e3
        for start in range(2000, 38_000, 4000):
            values[start : start + 80] += 90 * np.exp(-np.abs(t) / np.where(t < 0, 0.25, 0.8))
        return values, FS, "mV"
    if kind == "calcium":
        return calcium(rng, 12, 60, 30.0)[0], 30.0, "dF/F"
    if kind == "ecg":
        return heart(rng, 30, 300.0)[0], 300.0, "mV"
    if kind == "spike":
        return extracellular(rng, 60, 4, 8)[0], FS, "uV"
    if kind == "channel":
        return channel(rng, 2)[0], FS, "pA"
    return synaptic(rng, 20, 4, 8)[0], FS, "pA"


def _words(name: str, signal: Trace, kind: str = "auto") -> tuple[int, str]:
    task = make_detector(name).detect(signal, DetectionSettings(kind))  # type: ignore[arg-type]
    words = []
    while True:
        try:
            words.append(next(task).message)
        except StopIteration as stop:
            return len(stop.value), " ".join(words)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_detector_keeps_the_protocol(name: str) -> None:
    machine = make_detector(name)
    assert isinstance(machine, Detector)
    assert machine.name == name


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros(0), "too few"),
        (np.array([1.0, 2.0, 1.0]), "too few"),
        (np.full(5000, 3.0), "constant"),
        (np.full(5000, np.nan), "numbers"),
        (np.array([np.nan] * 4000 + [1.0, np.inf, 2.0]), "numbers"),
    ],
)
def test_nothing_to_detect_is_an_empty_table_and_a_reason(name: str, values: np.ndarray, why: str) -> None:
    n, words = _words(name, Trace(values.astype(np.float32), 1000.0, "pA"), OWN_KIND.get(name, "psc"))
    assert n == 0
    assert why in words


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_traces_do_not_stop_a_detector(name: str, fault: str) -> None:
    kind = OWN_KIND.get(name, "psc")
    values, fs, unit = _trace(kind, np.random.default_rng(1))
    if fault == "gaps":
        values[len(values) // 3 : len(values) // 2] = np.nan
        values[::997] = np.inf
    elif fault == "clipped":
        values = np.clip(values, *np.quantile(values, [0.05, 0.9]))
    elif fault == "inverted":
        values = -values
    elif fault == "no unit":
        unit = "?"
    elif fault == "step":
        values[len(values) // 2 :] += 1000
    elif fault == "1 kHz":
        fs = 1000.0
    elif fault == "500 kHz":
        fs = 500_000.0
    elif fault == "huge":
        values = values * 1e30
    else:
        values = np.round(values / np.ptp(values) * 6)
    events = detect(name, values, fs, unit, kind, all_scores=True)  # type: ignore[arg-type]
    assert np.isfinite(events["time_s"]).all()
    assert ((events["time_s"] >= 0) & (events["time_s"] <= len(values) / fs)).all()
    assert ((events["score"] >= 0) & (events["score"] <= 1)).all()
    assert np.isfinite(events["amplitude"]).all()
    assert (np.diff(events["time_s"]) >= 0).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_no_event_lies_in_a_gap(name: str) -> None:
    kind = OWN_KIND.get(name, "psc")
    values, fs, unit = _trace(kind, np.random.default_rng(2))
    first, last = len(values) // 3, len(values) // 2
    values[first:last] = np.nan
    events = detect(name, values, fs, unit, kind)  # type: ignore[arg-type]
    inside = (events["time_s"] * fs > first) & (events["time_s"] * fs < last)
    assert not inside.any()
    assert len(events) > 0


@pytest.mark.parametrize("name", CLASSICAL)
def test_presets_are_nested_and_calls_repeat(name: str) -> None:
    kind = OWN_KIND.get(name, "psc")
    values, fs, unit = _trace(kind, np.random.default_rng(3))
    all_of, balanced, precise = (
        set(np.round(detect(name, values, fs, unit, kind, **how)["time_s"], 9))  # type: ignore[arg-type]
        for how in ({"all_scores": True}, {}, {"preset": "precise"})
    )
    assert precise <= balanced <= all_of or name == "half-amplitude"
    assert len(precise) > 0
    again = detect(name, values, fs, unit, kind)  # type: ignore[arg-type]
    assert balanced == set(np.round(again["time_s"], 9))


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_sampling_rate_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RecordingError, match="sampling rate"):
        detect(name, np.random.default_rng(0).normal(size=1000), float("nan"), "pA", "psc")


def test_a_trace_with_a_missing_unit_is_told() -> None:
    values, fs, _ = _trace("psc", np.random.default_rng(1))
    n, words = _words("deconvolution", Trace(values.astype(np.float32), fs, "?"))
    assert n > 0
    assert "unit is missing" in words


def test_a_saturated_trace_is_told() -> None:
    values, fs, _ = _trace("psc", np.random.default_rng(1))
    _, words = _words("template", Trace(np.maximum(values, -4).astype(np.float32), fs, "pA"))
    assert "saturated" in words
