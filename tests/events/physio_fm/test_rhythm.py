"""`napari-biofm classify --task af`: a regular rhythm against an irregular one over a fibrillating baseline."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from napari_biofm import cli
from napari_biofm.events.physio_fm import PhysioFM
from napari_biofm.events.physio_fm.input_encoding import RHYTHMS
from napari_biofm.events.physio_fm.rhythm import features, probabilities, trees_path

RATE = 300.0  # Hz
# time before the R peak (s), width (s) and size (mV) of P, Q, R, S and T
WAVES = (
    (-0.17, 0.022, 0.14),
    (-0.028, 0.009, -0.1),
    (0.0, 0.011, 1.1),
    (0.03, 0.01, -0.22),
    (0.26, 0.045, 0.3),
)


def ecg(beats: np.ndarray, seconds: float, rng: np.random.Generator, atria: bool) -> np.ndarray:
    """Return one lead, mV: a sum of Gaussian waves at each beat; without P waves and with f waves otherwise."""
    t = np.arange(round(seconds * RATE)) / RATE
    lead = rng.normal(0, 0.012, len(t))
    for before, width, size in WAVES[0 if atria else 1 :]:
        for beat in beats:
            lead += size * np.exp(-(((t - beat - before) / width) ** 2) / 2)
    if not atria:
        rate = 6.3 + 0.5 * np.sin(2 * np.pi * 0.31 * t)  # Hz, wandering
        phase = 2 * np.pi * np.cumsum(rate) / RATE
        lead += (
            0.07 * (np.sin(phase) + 0.5 * np.sin(2 * phase + 1)) * (1 + 0.3 * np.sin(2 * np.pi * 0.17 * t))
        )
    return lead.astype(np.float32)


def regular(seed: int, seconds: float = 30.0) -> np.ndarray:
    """Return sinus rhythm: 70 beats a minute that breathing changes by 3 %."""
    rng = np.random.default_rng(seed)
    beats, at = [], 0.4
    while at < seconds - 0.4:
        beats.append(at)
        at += 0.86 * (1 + 0.03 * np.sin(2 * np.pi * 0.25 * at)) + rng.normal(0, 0.005)
    return ecg(np.asarray(beats), seconds, rng, atria=True)


def fibrillation(seed: int, seconds: float = 30.0) -> np.ndarray:
    """Return atrial fibrillation: intervals that have nothing to do with each other, no P waves, f waves."""
    rng = np.random.default_rng(seed)
    beats = 0.4 + np.cumsum(rng.uniform(0.38, 1.05, 80))
    return ecg(beats[beats < seconds - 0.4], seconds, rng, atria=False)


def classified(folder: Path, clips: dict[str, np.ndarray], **more: float) -> list[dict[str, str]]:
    np.savez(folder / "clips.npz", **clips, **more)
    assert (
        cli.main(["classify", str(folder / "clips.npz"), "--task", "af", "--out", str(folder / "p.csv")]) == 0
    )
    with (folder / "p.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_sinus_rhythm_and_fibrillation_are_told_apart_in_the_order_of_the_file(tmp_path: Path) -> None:
    clips = {
        f"{'z' if k % 2 else 'a'}{k}": (fibrillation if k % 2 else regular)(k) for k in (3, 0, 1, 2, 5, 4)
    }
    rows = classified(tmp_path, clips)
    assert list(rows[0]) == ["record", "label", "probability"]
    assert [row["record"] for row in rows] == ["z3", "a0", "z1", "a2", "z5", "a4"], "as in the file"
    assert [row["label"] for row in rows] == ["A", "N", "A", "N", "A", "N"]
    probability = np.array([float(row["probability"]) for row in rows])
    assert (probability > 0.5).all() and (probability <= 1).all()


def test_gain_offset_and_sampling_rate_do_not_change_the_rhythm(tmp_path: Path) -> None:
    sinus, af = regular(7), fibrillation(7)
    rows = classified(tmp_path, {"sinus": sinus * 200 + 1000, "af": af * 200 - 1000})
    assert [row["label"] for row in rows] == ["N", "A"]
    twice = {"sinus": np.repeat(sinus, 2), "af": np.repeat(af, 2)}
    rows = classified(tmp_path, twice, sampling_rate=2 * RATE)
    assert [row["label"] for row in rows] == ["N", "A"]


def test_probabilities_of_all_rhythms_sum_to_one_and_fibrillation_is_likely_where_it_is() -> None:
    model = PhysioFM()
    x = np.array([list(features(model, clip, RATE).values()) for clip in (regular(8), fibrillation(8))])
    p = probabilities(load_file(trees_path(model)), x)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-4)
    af = RHYTHMS.index("A")
    assert p[1, af] > 0.5 > 0.2 > p[0, af]


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ({"short": np.zeros(200, np.float32)}, "give at least 2 s"),
        ({"two": np.zeros((2, 900))}, "one-dimensional"),
    ],
)
def test_clips_that_cannot_be_judged_are_named(
    tmp_path: Path, clips: dict[str, np.ndarray], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "clips.npz", **clips)
    out = tmp_path / "p.csv"
    assert cli.main(["classify", str(tmp_path / "clips.npz"), "--task", "af", "--out", str(out)]) != 0
    assert words in capsys.readouterr().err and not out.exists()
