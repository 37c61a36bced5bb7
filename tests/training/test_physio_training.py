"""Training: windows are sound, steps lower the loss, and an interrupted run goes on exactly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

torch = pytest.importorskip("torch")

CONFIG: dict[str, Any] = {
    "seed": 1,
    "batch": 3,
    "steps": 10,
    "learning_rate": 1e-3,
    "warmup": 2,
    "weight_decay": 0.01,
    "average": 0.99,
    "hidden_share": 0.5,
    "model": {"widths": [16, 16, 16], "depths": [1, 1, 1, 1, 1], "condition": 8},
    "mix": {"psc": 1, "ap": 1, "calcium": 1, "spike": 1, "ecg": 1, "channel": 1},
    "real_share": {},
}


@pytest.mark.parametrize("kind", ["psc", "ap", "calcium", "spike", "ecg", "channel"])
def test_simulated_windows_are_sound(kind: str) -> None:
    from training.physio.batch import draw

    rng = np.random.default_rng(0)
    for _ in range(20):
        crop = draw(rng, None, {kind: 1.0}, {})
        assert crop.x.shape == (2048,)
        assert np.isfinite(crop.x).all()
        assert len(crop.time) == len(crop.amplitude) == len(crop.klass)
        assert ((crop.time >= 0) & (crop.time < 2048)).all()


def test_the_peak_of_a_simulated_current_is_where_the_label_says() -> None:
    from training.physio.simulators.psc import waveform

    wave, peak = waveform(0.4e-3, 5e-3, 20e3)
    assert wave.argmax() == peak
    assert wave.max() == pytest.approx(1)


def test_three_steps_train_and_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    from training.physio.train import Trainer

    torch.set_num_threads(1)
    straight = Trainer(CONFIG, None)
    for _ in range(3):
        found = straight.advance()
        assert np.isfinite(found["loss"])
    broken = Trainer(CONFIG, None)
    broken.advance()
    broken.save(tmp_path / "last.pt")
    resumed = Trainer(CONFIG, None)
    resumed.load(tmp_path / "last.pt")
    resumed.advance()
    resumed.advance()
    for a, b in zip(straight.average.parameters(), resumed.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_windows_drawn_by_other_processes_are_the_same() -> None:
    from training.physio.drawing import Windows

    here, there = Windows(CONFIG, None), Windows(CONFIG, None, workers=2)
    try:
        for step in (4, 5):
            (a, hidden_a), (b, hidden_b) = (one.of(step, torch.device("cpu")) for one in (here, there))
            for name, tensor in a.items():
                torch.testing.assert_close(tensor, b[name], rtol=0, atol=0, equal_nan=True)
            assert (hidden_a is None) == (hidden_b is None)
            assert hidden_a is None or torch.equal(hidden_a, hidden_b)
    finally:
        there.close()


def test_onnx_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from training.physio.export_onnx import export

    from napari_biofm.events.physio_fm.network import PhysioNetwork

    torch.manual_seed(0)
    net = PhysioNetwork(**CONFIG["model"]).eval()
    assert export(net, tmp_path / "tiny.onnx", 512) < 1e-4
