"""How `benchmarks/soak.py` tells growth from noise, and finds what a process of ours holds."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_growth_is_told_from_noise(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    growth = importlib.import_module("growth")
    rng = np.random.default_rng(0)

    def measured(slope: float) -> list[str]:
        rows = iter(range(30))

        def row() -> dict[str, float]:
            at = next(rows)
            return {key: 100 + rng.normal(0, 1) + slope * at for key in growth.KEYS}

        one = growth.Growth("made up", row)
        for cycle in range(30):
            one.take(10 * cycle, say=False)
        return list(one.report()["grows"])

    assert measured(1.0) == list(growth.KEYS)
    assert measured(-1.0) == []
    assert growth.line_through(np.array([1.0]), np.array([1.0])) == (0.0, float("inf"))


def test_what_a_process_of_ours_holds_is_found_by_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys
    from multiprocessing import shared_memory

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    growth = importlib.import_module("growth")
    environment = {**os.environ, growth.MARK: "mark of a test"}
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment)
    try:
        while not growth.family("mark of a test"):
            pass
        assert [one.pid for one in growth.family("mark of a test")] == [child.pid]
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
    assert growth.family("mark of a test") == []
    block = shared_memory.SharedMemory(create=True, size=100)
    try:
        import psutil

        assert block.name in growth.segments_of([psutil.Process()])
    finally:
        block.close()
        block.unlink()
    assert growth.held()["memory_mb"] > 10
