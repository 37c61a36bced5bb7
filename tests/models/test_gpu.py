"""The benchmark of graphics cards: its code on the CPU with tiny shapes, and all of it where there is a card."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def test_its_parts_run_on_the_processor_and_agree_with_themselves(gpu: Any, tmp_path: Path) -> None:
    bench = gpu.Bench("cpu", True, tmp_path, time.monotonic() + 600)
    for part in ("embedded", "physio"):
        gpu.PARTS[part](bench)
    assert len(bench.rows) == 4 and all(row.ok for row in bench.rows)
    assert all(row.difference == 0 for row in bench.rows if row.difference == row.difference)
    assert all(row.ms > 0 and row.part in gpu.line(row) for row in bench.rows)


def test_without_a_card_it_says_so_in_a_line(gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == gpu.NO_DEVICE == 3
    said = capsys.readouterr().out.strip().splitlines()
    assert len(said) == 1 and "'cuda' is not available" in said[0]


def test_what_is_not_finite_or_far_off_is_wrong(gpu: Any) -> None:
    assert gpu.apart([1.0, 3.0], [1.0, 3.0]) == 0
    assert gpu.apart([1.0, float("nan")], [1.0, 3.0]) == float("inf")
    assert gpu.apart([1.0, 4.0], [1.0, 3.0]) == 1.0


@pytest.mark.gpu
def test_on_a_card_all_parts_agree_with_the_processor(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small"])
    assert gpu.main() == 0
