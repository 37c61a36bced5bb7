"""A channel has one kind in all of its sweeps, whatever single sweeps look like."""

from __future__ import annotations

import numpy as np
from tests.events.generators import channel

from napari_biofm.events.classical.choice import guess_kind
from napari_biofm.events.detect import channel_kinds, detect_and_say, detect_events
from napari_biofm.events.recognising import choose_kinds
from napari_biofm.signals import Recording
from napari_biofm.types import DetectionSettings, Trace, run_task

RATE = 20_000.0


class Loud:
    """Takes loud sweeps for action potentials and quiet ones for smaller potentials; counts what it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def recognise(self, signal: Trace) -> tuple[str, dict[str, float]]:
        self.seen.append(signal.sweep)
        loud = float(np.ptp(signal.values)) > 50
        return ("ap", {"ap": 0.9, "spike": 0.1}) if loud else ("spike", {"ap": 0.2, "spike": 0.8})


def _protocol(loud: tuple[int, ...], n: int = 40) -> Recording:
    sweeps = np.random.default_rng(0).normal(-65, 0.2, (n, 2000))
    for sweep in loud:
        sweeps[sweep, 500:520] += 90
    return Recording.from_arrays(sweeps, RATE, "mV")


def test_a_few_sweeps_vote_and_the_lively_ones_are_among_them() -> None:
    detector = Loud()
    kinds = run_task(choose_kinds(_protocol((33, 37)), detector, [0]))
    assert {33, 37} <= set(detector.seen) and len(detector.seen) <= 8
    assert kinds[0].kind == "ap", "a firing cell with silent sweeps is a firing cell"
    assert "action potentials" in kinds[0].text and "sweeps looked at" in kinds[0].text


def test_all_sweeps_are_searched_as_one_kind() -> None:
    recording = _protocol((3, 5), 6)
    events, kinds = run_task(detect_and_say(recording, "classical", DetectionSettings(), [0]))
    assert kinds[0].kind == "ap"
    assert set(events["class"].tolist()) == {"AP"} and set(events["sweep"].tolist()) == {3, 5}


def test_what_the_user_says_goes_before() -> None:
    kinds = run_task(channel_kinds(_protocol((1,), 3), "classical", DetectionSettings("psc"), [0]))
    assert kinds[0].kind == "psc" and kinds[0].given
    assert run_task(channel_kinds(_protocol((1,), 3), "threshold", DetectionSettings(), [0])) == {}


def test_traces_of_cells_are_of_one_kind() -> None:
    values = np.random.default_rng(1).normal(0, 0.05, (30, 900))
    recording = Recording.from_arrays(values, 20.0, "dF/F", labels=range(1, 31))
    kinds = run_task(channel_kinds(recording, "classical", DetectionSettings(), range(30)))
    assert {choice.kind for choice in kinds.values()} == {"calcium"} and len(kinds) == 30


def _slow_currents() -> np.ndarray:
    """A few large synaptic currents over a quiet baseline, which jump between as many levels as channels do."""
    current = 5 + np.random.default_rng(2).normal(0, 2, 20_000)
    t = np.arange(1500) / RATE
    for at in range(1200, 18_000, 1700):
        current[at : at + 1500] += 75 * (1 - np.exp(-t / 1e-3)) * np.exp(-t / 14e-3)
    return current.astype(np.float32)


def test_currents_that_decay_are_no_channels_and_channels_are() -> None:
    assert guess_kind(Trace(_slow_currents(), RATE, "pA")) == "psc"
    assert (
        guess_kind(Trace(channel(np.random.default_rng(0), 10)[0].astype(np.float32), RATE, "pA"))
        == "channel"
    )


def test_kinds_that_were_found_out_before_are_used() -> None:
    recording = _protocol((0,), 2)
    kinds = run_task(channel_kinds(recording, "classical", DetectionSettings("ap"), [0]))
    events = run_task(detect_events(recording, "classical", DetectionSettings(), [0], kinds=kinds))
    assert events["class"].tolist() == ["AP"]
