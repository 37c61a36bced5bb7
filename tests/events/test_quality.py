"""Events hidden in a recording say how good detection on it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.events.generators import FS, extracellular, synaptic

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.events.false_events import event_free
from napari_biofm.events.gaps import runs
from napari_biofm.events.hidden_events import limit_of
from napari_biofm.events.kinds import KINDS
from napari_biofm.types import RecordingError


def saved(path: Path, x: np.ndarray, fs: float = FS, unit: str = "pA") -> Path:
    np.savez(path, signal=x.astype(np.float32), sampling_rate=fs, unit=unit)
    return path


@pytest.fixture(scope="module")
def currents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Currents of 20 pA (ten times the noise) over 10 s."""
    x, _ = synaptic(np.random.default_rng(1), 30, 10.0, 10.0)
    return saved(tmp_path_factory.mktemp("quality") / "currents.npz", x)


@pytest.mark.parametrize("detector", ["physio-fm", "threshold", "deconvolution"])
def test_recall_rises_with_amplitude_and_the_limits_lie_between(currents: Path, detector: str) -> None:
    report = biofm.detection_quality(currents, detector=detector, kind="psc")
    recall, amplitude = np.array(report["recall"]), np.array(report["amplitude"])
    assert (np.diff(amplitude) > 0).all() and recall[0] < 0.5 and recall[-1] >= 0.95
    assert report["typical_amplitude"] == pytest.approx(-20, rel=0.2)
    assert amplitude[0] < report["limit_50"] <= report["limit_95"] <= amplitude[-1]
    assert report["noise_sd"] == pytest.approx(2, rel=0.15) and report["unit"] == "pA"
    assert report["false_events_per_min"] <= 12
    assert "hidden" in report["methods"] and f"{report['limit_50']:.3g} pA" in report["methods"]


def test_a_better_detector_has_a_lower_limit(currents: Path) -> None:
    blunt = biofm.detection_quality(currents, detector="threshold", kind="psc", options={"sigma": 20})
    sharp = biofm.detection_quality(currents, detector="threshold", kind="psc", options={"sigma": 6})
    assert sharp["limit_50"] < 0.7 * blunt["limit_50"]


def test_the_command_writes_the_same_numbers(currents: Path, tmp_path: Path) -> None:
    out = tmp_path / "quality.json"
    assert (
        main(
            [
                "events",
                str(currents),
                "--quality",
                "--out",
                str(out),
                "--detector",
                "threshold",
                "--kind",
                "psc",
            ]
        )
        == 0
    )
    written = json.loads(out.read_text())
    assert written["file"] == "currents.npz"
    same = biofm.detection_quality(currents, detector="threshold", kind="psc")
    assert {k: written[k] for k in same} == json.loads(json.dumps(same))


def test_extracellular_spikes_are_hidden_on_their_trough(tmp_path: Path) -> None:
    x, _ = extracellular(np.random.default_rng(2), 120, 5.0, 8.0)
    report = biofm.detection_quality(saved(tmp_path / "spikes.npz", x, FS, "uV"), kind="spike")
    assert report["kind"] == "spike" and report["limit_95"] < 80
    assert (
        20 < report["limit_50"] < 70
    )  # noise of 10 uV; sizes are those of the vertex, not of the deepest sample
    assert report["false_events_per_min"] <= 12


def test_where_nothing_was_found_the_rate_of_false_events_is_told_and_recall_is_not(tmp_path: Path) -> None:
    path = saved(tmp_path / "noise.npz", np.random.default_rng(3).normal(size=40_000))
    report = biofm.detection_quality(path, detector="threshold", kind="psc")
    assert report["recall"] == [] and report["limit_50"] is None
    assert "make an average" in report["why"] and report["false_events_per_min"] >= 0
    assert biofm.detection_quality(path, detector="threshold")["why"]


def test_what_cannot_be_asked_is_told(currents: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["events", str(currents), "--quality", "--out", str(tmp_path / "q.csv")]) != 0
    assert ".json" in capsys.readouterr().err
    with pytest.raises(RecordingError, match="channel 3"):
        biofm.detection_quality(currents, channel=3)


def test_an_event_free_trace_has_the_noise_of_the_recording_and_no_event() -> None:
    x, truth = synaptic(np.random.default_rng(4), 20, 5.0, 30.0)
    bare = event_free(x.astype(np.float32), truth, FS, KINDS["psc"])
    assert np.std(bare) == pytest.approx(2, rel=0.15)
    assert np.abs(bare).max() < 12  # the events were 60
    assert len(runs(np.abs(bare) > 9)) < 10


def test_limits_are_read_between_levels() -> None:
    amplitude = np.array([1.0, 2.0, 4.0])
    assert limit_of(amplitude, np.array([0.0, 0.5, 1.0]), 0.75) == pytest.approx(3.0)
    assert limit_of(amplitude, np.array([0.6, 0.5, 1.0]), 0.5) == 1.0
    assert np.isnan(limit_of(amplitude, np.array([0.0, 0.1, 0.4]), 0.5))


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.ones(5000), "constant"), (np.full(5000, np.nan), "numbers"), (np.zeros(10), "too few")],
)
def test_where_there_is_nothing_to_look_at_that_is_said(
    tmp_path: Path, capsys: Any, values: np.ndarray, words: str
) -> None:
    path = saved(tmp_path / "empty.npz", values)
    report = biofm.detection_quality(path, detector="threshold", kind="psc")
    assert report["false_events_per_min"] is None and words in report["why"] and words in report["methods"]
    assert (
        main(
            [
                "events",
                str(path),
                "--out",
                str(tmp_path / "e.csv"),
                "--detector",
                "threshold",
                "--kind",
                "psc",
            ]
        )
        == 0
    )
    assert words in capsys.readouterr().err
