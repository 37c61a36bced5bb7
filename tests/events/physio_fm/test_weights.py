"""Weights are read only when they are what their card says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from napari_biofm.events.physio_fm import PhysioFM, weights
from napari_biofm.types import ModelError


@pytest.fixture
def copied(weights_path: Path, tmp_path: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights_path.with_suffix(suffix), tmp_path)
    return tmp_path / weights_path.name


def test_changed_weights_are_refused(copied: Path) -> None:
    data = bytearray(copied.read_bytes())
    data[-5] ^= 1
    copied.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="changed or damaged"):
        PhysioFM(copied).network()


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not found"):
        PhysioFM(tmp_path / "none.safetensors").network()


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    card = json.loads(copied.with_suffix(".json").read_text())
    card["config"]["widths"] = [24, 24, 24]
    copied.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="does not fit"):
        PhysioFM(copied).network()


def test_importing_the_package_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, napari_biofm.events.physio_fm, napari_biofm.events.channels.idealization; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(not weights.STOCK.exists(), reason="the stock weights are not here")
def test_the_stock_weights_are_sound_and_small() -> None:
    model = PhysioFM()
    parameters = sum(p.numel() for p in model.network().parameters())
    assert parameters <= 3_000_000
    assert weights.STOCK.stat().st_size <= 8_000_000
    assert set(model.card["presets"]) >= {"psc", "ap", "calcium", "spike", "ecg"}
