"""Units off by a thousand are noticed, and right ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.signals.plausible import hints_in_words, unit_hint, unit_hints

RATE = 10_000.0


def _hint(values: np.ndarray, unit: str, rate: float = RATE) -> str | None:
    hint = unit_hint(Recording.from_arrays(values, rate, unit), 0)
    return None if hint is None else hint.proposal


def _membrane(noise: float = 0.2) -> np.ndarray:
    """mV."""
    volts = -65 + np.random.default_rng(0).normal(0, noise, 20_000)
    volts[5000:5020] += 90
    return volts


def _current() -> np.ndarray:
    """pA."""
    current = -30 + np.random.default_rng(1).normal(0, 3, 20_000)
    current[4000:4050] -= 60
    return current


def _dff(noise: float) -> np.ndarray:
    """A fraction."""
    return np.random.default_rng(2).normal(0, noise, 3000)


@pytest.mark.parametrize(
    ("values", "unit", "proposal"),
    [
        (_membrane(), "mV", None), (_membrane() * 1e-3, "V", None), (_membrane() * 1e3, "uV", None),
        (_membrane() * 1e-3, "mV", "V"), (_membrane(), "V", "mV"), (_membrane() * 1e3, "mV", "uV"),
        (_membrane(0.0), "mV", None), (_membrane() * 1e-3, "uV", "V"),
        (_current(), "pA", None), (_current() * 1e-3, "nA", None), (_current() * 1e-12, "A", None),
        (_current() * 1e-3, "pA", "nA"), (_current() * 1e-12, "pA", "A"), (_current(), "A", "pA"),
        (_current() * 1e4, "nA", "pA"),
    ],
)  # fmt: skip
def test_sizes_that_no_cell_has(values: np.ndarray, unit: str, proposal: str | None) -> None:
    assert _hint(values, unit) == proposal


@pytest.mark.parametrize(
    ("noise", "unit", "proposal"),
    [(0.02, "dF/F", None), (0.2, "dF/F", None), (2.0, "dF/F", "%"), (1.0, "%", None), (0.01, "%", "dF/F")],
)
def test_fractions_and_percent(noise: float, unit: str, proposal: str | None) -> None:
    assert _hint(_dff(noise), unit, 30.0) == proposal


def test_quiet_extracellular_and_heart_signals_are_left_alone() -> None:
    rng = np.random.default_rng(3)
    assert _hint(rng.normal(0, 0.01, 20_000), "mV") is None
    assert _hint(np.cumsum(rng.normal(0, 1e-3, 20_000)) * 0.1, "mV", 500.0) is None
    assert _hint(rng.normal(0, 0.2, 20_000), "pA") is None, "a quiet patch"


def test_commands_and_triggers_are_not_judged() -> None:
    step = np.full(20_000, -70.0)
    step[4000:8000] = -75
    recording = Recording.from_arrays([[_current(), step]], RATE, ["pA", "V"], names=["Im", "Vcmd"])
    assert unit_hints(recording) == {}


def test_the_sentence_names_the_channel_and_the_remedy() -> None:
    recording = Recording.from_arrays([[_current(), _membrane() * 1e-3]], RATE, ["pA", "mV"])
    (said,) = hints_in_words(recording, unit_hints(recording))
    assert "unit of channel 1" in said and "--unit 1=V" in said
