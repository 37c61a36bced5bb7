"""Teaching: a head learns an unfamiliar event from a few marks, is saved without code, and the stock
stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm import cli
from napari_biofm.events.evaluation import best_f1
from napari_biofm.events.physio_fm import PhysioFM
from napari_biofm.events.physio_fm.adapt import AdaptedHead, Marks, adapt, fit_head
from napari_biofm.events.physio_fm.forgetting import forgetting_probe
from napari_biofm.types import DetectionSettings, ModelError, RecordingError, Trace, run_task

FS = 10e3


def strange(seed: int, seconds: float = 12.0) -> tuple[Trace, np.ndarray]:
    """Return doublets of opposite sign, which no kind knows, and their peaks."""
    rng = np.random.default_rng(seed)
    n = int(seconds * FS)
    x = rng.normal(size=n) * 2
    wave = np.concatenate([np.hanning(40), -0.8 * np.hanning(60), 0.4 * np.hanning(90)])
    at = np.cumsum(rng.integers(1500, 5000, n // 3000))
    at = at[at < n - 300]
    for a in at:
        x[a : a + len(wave)] += 11 * wave * rng.uniform(0.8, 1.3)
    for a in rng.integers(0, n - 300, 20):  # what is not meant
        x[a : a + 200] -= 14 * np.exp(-np.arange(200) / 50)
    return Trace(x.astype(np.float32), FS, "pA"), (at + 19) / FS


@pytest.fixture(scope="module")
def taught(weights_path: Path) -> AdaptedHead:
    model = PhysioFM(weights_path, threads=1)
    recordings = [strange(1), strange(2)]
    marks = [Marks(s, t[:15], spans=[(0.0, float(t[14]) + 0.05)]) for s, t in recordings]
    return run_task(adapt(model, marks, "psc"))


def test_thirty_marks_teach_a_strange_event(model: PhysioFM, taught: AdaptedHead) -> None:
    signal, truth = strange(5)
    table = run_task(taught.detect(model, signal, DetectionSettings()))
    gap = np.abs(table["time_s"][:, None] - truth[None])
    precision, recall = (gap.min(1) < 5e-3).mean(), (gap.min(0) < 5e-3).mean()
    assert 2 * precision * recall / (precision + recall) > 0.9
    assert taught.report["f1_adapted"] > max(0.9, taught.report["f1_stock"])


def test_a_head_survives_saving(model: PhysioFM, taught: AdaptedHead, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    taught.save(path)
    again = AdaptedHead.load(path, model)
    signal, _ = strange(6, 4.0)
    a, b = (run_task(h.detect(model, signal, DetectionSettings())) for h in (taught, again))
    np.testing.assert_allclose(a["time_s"], b["time_s"])
    np.testing.assert_allclose(a["score"], b["score"], atol=1e-4)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="changed or damaged"):
        AdaptedHead.load(path, model)


def test_a_head_of_fewer_features_taught_before_still_finds_events(
    model: PhysioFM, taught: AdaptedHead
) -> None:
    weights = np.concatenate([taught.weights[:, :5], taught.weights[:, -1:]], 1)
    before = replace(taught, mean=taught.mean[:5], spread=taught.spread[:5], weights=weights)
    signal, truth = strange(6, 4.0)
    found = run_task(before.detect(model, signal, DetectionSettings(all_scores=True)))["time_s"]
    assert (np.abs(found[:, None] - truth[None]).min(0) < 5e-3).mean() > 0.8


def test_a_head_for_other_stock_weights_is_refused(
    model: PhysioFM, taught: AdaptedHead, tmp_path: Path
) -> None:
    import copy

    other = copy.copy(taught)
    other.stock_sha256 = "0" * 64
    other.save(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="other stock weights"):
        AdaptedHead.load(tmp_path / "other.safetensors", model)


def test_the_stock_answers_as_before_when_the_head_is_taken_off(model: PhysioFM, taught: AdaptedHead) -> None:
    signal, _ = strange(7, 4.0)
    settings = DetectionSettings(kind="psc")
    before = run_task(model.detect(signal, settings))
    model.adapted = taught
    during = run_task(model.detect(signal, settings))
    model.adapted = None
    after = run_task(model.detect(signal, settings))
    assert before.tobytes() == after.tobytes()
    assert len(during) != len(before)


def test_two_marks_are_too_few(model: PhysioFM) -> None:
    signal, truth = strange(1, 4.0)
    with pytest.raises(RecordingError, match="at least 3"):
        run_task(adapt(model, [Marks(signal, truth[:2])], "psc"))


def test_what_is_forgotten_is_told(model: PhysioFM, taught: AdaptedHead) -> None:
    probe = forgetting_probe(model, taught, [strange(8, 4.0)])
    assert set(probe) == {"events", "stock", "adapted", "forgotten"}
    assert probe["adapted"] > 0.8


def test_a_head_beside_the_stock_model_adds_to_it(model: PhysioFM, taught: AdaptedHead) -> None:
    signal, truth = strange(9, 4.0)
    settings = DetectionSettings(kind="psc")
    stock = run_task(model.detect_stock(signal, settings))
    both = run_task(replace(taught, beside=True, classes=["doublet"]).detect(model, signal, settings))
    new = both[both["class"] == "doublet"]
    gap = np.abs(new["time_s"][:, None] - truth[None])
    assert (gap.min(0) < 5e-3).mean() > 0.8
    kept = both[both["class"] != "doublet"]
    assert len(kept) and np.isin(kept["time_s"], stock["time_s"]).all()
    assert (np.diff(both["time_s"]) >= 0).all()


def test_the_time_scale_of_an_event_is_chosen_by_the_marks(model: PhysioFM) -> None:
    rng = np.random.default_rng(3)
    n = int(40 * FS)
    x, at = rng.normal(size=n), np.arange(8_000, n - 6_000, 8_000)
    for a in at:  # a quarter of a second, less than the noise at every sample
        x[a : a + 2_500] += 0.6 * np.hanning(2_500)
    signal, truth = Trace(x.astype(np.float32), FS, "pA"), (at + 1_250) / FS
    head = run_task(adapt(model, [Marks(signal, truth[:15])], "psc"))
    assert head.report["template_s"] > 0.2
    found = run_task(head.detect(model, signal, DetectionSettings()))["time_s"]
    late = truth[20:]
    assert (np.abs(found[:, None] - late[None]).min(0) < 0.08).mean() > 0.8
    assert (found > late[0] - 0.4).sum() < 1.4 * len(late)


def test_a_refit_on_many_minutes_looks_at_a_part_of_them(
    model: PhysioFM, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, fs = np.random.default_rng(4), 20e3
    n = int(240 * fs)
    x = rng.standard_normal(n, np.float32)
    wave = np.concatenate([np.hanning(100), -0.5 * np.hanning(100)]).astype(np.float32)
    at = np.arange(int(2 * fs), n - int(2 * fs), int(4.5 * fs))
    for a in at:
        x[a : a + 200] += 4 * wave
    signal, truth = Trace(x, fs, "pA"), (at + 50) / fs
    seen: list[int] = []
    run = model.run

    def counted(windows: np.ndarray, *rest: Any) -> dict[str, np.ndarray]:
        seen.append(windows.size)
        return run(windows, *rest)

    monkeypatch.setattr(model, "run", counted)
    head = run_task(adapt(model, [Marks(signal, truth[:50])], "psc"))
    assert 0 < sum(seen) < n / 8
    assert head.report["f1_adapted"] > 0.9
    end = replace(signal, values=x[-int(12 * fs) :])
    found = run_task(head.detect(model, end, DetectionSettings()))["time_s"] + (n - len(end.values)) / fs
    late = truth[truth > (n - len(end.values)) / fs]
    assert (np.abs(found[:, None] - late[None]).min(0) < 3e-3).all() and len(found) <= len(late) + 1


def test_where_only_marks_are_seen_between_marks_the_rest_of_the_recording_is_background(
    model: PhysioFM,
) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=int(8 * FS))
    at = np.arange(20_000, 26_000, 600)
    for a in at:  # nearly end to end
        x[a : a + 500] += 30 * np.hanning(500)
    signal, truth = Trace(x.astype(np.float32), FS, "pA"), (at + 250) / FS
    head = run_task(adapt(model, [Marks(signal, truth)], "psc"))
    found = run_task(head.detect(model, signal, DetectionSettings()))["time_s"]
    assert (np.abs(found[:, None] - truth[None]).min(0) < 0.02).mean() > 0.8
    assert len(found) < 2 * len(truth)


def test_the_threshold_is_half_of_the_best_f1(taught: AdaptedHead) -> None:
    assert best_f1(np.array([0.9, 0.8, 0.3]), np.array([True, False, True]), 2) == pytest.approx(0.8)
    assert 0.2 <= taught.threshold <= 0.5


def test_a_head_of_few_marks_leans_on_the_template_rather_than_on_the_network() -> None:
    rng = np.random.default_rng(6)
    y = np.repeat([0, -1, -2], [6, 30, 100])
    x = rng.normal(size=(len(y), 40))
    x[:, 0] += 2 * (y == 0)  # the fit of the template says it
    x[:, 20] += 2 * (y == 0)  # and so does one of the network's features
    mean, spread, weights = fit_head(x, y, 1)
    assert len(mean) == len(spread) == 40 and weights.shape == (1, 41)
    assert weights[0, 0] > weights[0, 20] > 0


def test_the_command_line_teaches_and_uses_what_was_taught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, marks = strange(1, 8.0)
    new, truth = strange(5, 6.0)
    for name, signal in (("train", train), ("new", new)):
        np.savez(tmp_path / f"{name}.npz", signal=signal.values, sampling_rate=FS, unit="pA")
    rows = "\n".join(f"0,{t:.5f},doublet" for t in marks)
    (tmp_path / "marks.csv").write_text(f"sweep,time_s,class\n{rows}\n")
    head, out = tmp_path / "head.safetensors", tmp_path / "events.csv"
    train_words = ["adapt", str(tmp_path / "train.npz"), "--marks", str(tmp_path / "marks.csv")]
    assert cli.main([*train_words, "--kind", "psc", "--out", str(head)]) == 0
    words = ["events", str(tmp_path / "new.npz"), "--out", str(out)]
    assert cli.main([*words, "--head", str(head)]) == 0
    found = [row.split(",") for row in out.read_text().splitlines()[1:]]
    times = np.array([float(row[2]) for row in found if row[3] == "doublet"])
    assert (np.abs(times[:, None] - truth[None]).min(0) < 5e-3).mean() > 0.8
    assert cli.main([*words, "--head", str(tmp_path / "marks.csv")]) == 1
    assert "marks" in capsys.readouterr().err
    assert cli.main([*words, "--head", str(head), "--detector", "template"]) == 1
    assert "cannot be taught" in capsys.readouterr().err
