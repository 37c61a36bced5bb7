"""Every code block of docs/api.md runs, one after the other, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def test_the_examples_of_the_page_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) > 10
    names: dict[str, Any] = {}
    for block in blocks:
        line = text[: text.index(block)].count("\n") + 1
        code = compile("\n" * (line - 1) + block, str(PAGE), "exec")
        exec(code, names)
    assert 20 <= names["found"].masks.max() <= 40
    assert set(names["predicted"]) == {"large", "small"}
    assert len(names["events"]) > 3
    assert 0.3 < (names["channel"].n_open[0] > 0).mean() < 0.7
    assert names["channel"].levels[0][1] == pytest.approx(3.0, rel=0.05)
    assert names["cells"].dff.shape == names["rate"].rate.shape
    assert names["again"].session.history.can_undo is False


def test_every_public_name_is_on_the_page_or_a_result_of_one_that_is() -> None:
    import napari_biofm

    text = PAGE.read_text(encoding="utf-8")
    functions = {n for n in napari_biofm.__all__ if n[0].islower()} - {
        "open_image",
        "read_image",
        "read_masks",
    }
    assert {n for n in functions if f"biofm.{n}(" not in text} == set()
