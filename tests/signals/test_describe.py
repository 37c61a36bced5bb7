"""Recordings and their quality in words."""

from __future__ import annotations

import numpy as np

from napari_biofm.signals import Recording, Tag
from napari_biofm.signals.describe import describe_pulses, describe_quality, describe_recording
from napari_biofm.signals.plausible import unit_hints
from napari_biofm.signals.quality import assess

RATE = 10_000.0


def test_a_recording_says_its_format_sweeps_and_tags() -> None:
    recording = Recording.from_arrays(np.zeros((3, 1000)), 1000.0, "pA", tags=(Tag(0.25, "drug on"),))
    lines = describe_recording(recording)
    assert "3 sweeps" in lines[0] and lines[-1] == "0.25 s: drug on"


def test_loud_hum_and_saturation_need_attention_and_a_quiet_trace_does_not() -> None:
    rng, time = np.random.default_rng(0), np.arange(20_000) / RATE
    quiet = Recording.from_arrays(rng.normal(0, 1, 20_000), RATE, "pA")
    assert not any(remark.warns for remark in describe_quality(assess(quiet, 0, 0)))
    loud = Recording.from_arrays(rng.normal(0, 1, 20_000) + 5 * np.sin(2 * np.pi * 50 * time), RATE, "pA")
    warned = [remark.text for remark in describe_quality(assess(loud, 0, 0)) if remark.warns]
    assert len(warned) == 1 and warned[0].startswith("Hum at 50 Hz") and "grounding" in warned[0]


def test_test_pulses_are_named_with_their_mean() -> None:
    volts, time = np.full(20_000, -70.0), np.arange(4_000) / RATE
    current = np.zeros(20_000)
    for start, step in ((2_000, -5.0), (9_000, 10.0)):
        volts[start : start + 4_000] += step
        current[start : start + 4_000] = step * (3 + 97 * np.exp(-time / 3e-4))
    recording = Recording.from_arrays([[current, volts]], RATE, ["pA", "mV"], names=["I", "V command"])
    quality = assess(recording, 0, 0)
    assert describe_pulses(quality)[0] == "Test pulse 1: -5 mV at 0.2 s"
    assert describe_pulses(quality)[-1] == "Mean of all pulses like the first"
    assert any("access resistance" in remark.text for remark in describe_quality(quality))


def test_units_that_look_wrong_are_hinted_at_by_channel() -> None:
    values = np.stack([np.linspace(-40, 40, 900), np.linspace(-1, 1, 900)])
    recording = Recording.from_arrays([list(values)], RATE, ["A", "pA"])
    hints = unit_hints(recording, [0, 1])
    assert list(hints) == [0] and hints[0].proposal == "pA"
