"""Random edits of every kind through two docks: undone, replayed, and measured afresh; see benchmarks/edits.py."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(("others", "seed"), [(False, 1), (True, 2)])
def test_a_walk_can_be_undone_and_replayed_and_the_table_of_cells_is_fresh(
    viewer: Any, monkeypatch: pytest.MonkeyPatch, others: bool, seed: int
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    walk = importlib.import_module("edits").Walk(viewer, seed, others)
    for _ in range(60):
        walk.step()
    outcome = walk.finish()
    assert outcome.undone_to_start
    assert outcome.log_replays
    assert outcome.table_is_fresh
    if not others:
        assert outcome.skipped == []
