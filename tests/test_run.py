"""run.py takes the build of torch for processors where there is no card, and pip's usual one where it cannot."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ["python", "-m", "pip", "install"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module, and in `calls` what it would have started."""
    spec = importlib.util.spec_from_file_location("biofm_run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.calls = []

    def start(command: list[str], check: bool = False, **_: Any) -> Any:
        module.calls.append(command)
        failed = command[0] != "python"  # torch is not there yet
        if check and module.refuses:
            raise subprocess.CalledProcessError(1, command)
        return subprocess.CompletedProcess(command, int(failed))

    module.refuses = False
    monkeypatch.setattr(module.subprocess, "run", start)
    monkeypatch.setattr(module, "has_nvidia_card", lambda: False)
    monkeypatch.setattr(module.urllib.request, "urlopen", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(sys, "platform", "linux")
    return module


def test_without_a_card_torch_comes_from_the_index_for_processors(run: Any, capsys: Any) -> None:
    run.torch_for_processors(Path("other/python"), INSTALL)
    assert run.calls[-1] == [*INSTALL, "torch", "torchvision", "--index-url", run.CPU_INDEX]
    assert "no NVIDIA card is seen" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["out of reach", "refuses"])
def test_where_that_index_cannot_serve_pips_usual_build_is_taken_and_said(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, what: str
) -> None:
    def out_of_reach(*_: Any, **__: Any) -> Any:
        raise urllib.error.URLError("timed out")

    if what == "out of reach":
        monkeypatch.setattr(run.urllib.request, "urlopen", out_of_reach)
    run.refuses = what == "refuses"
    run.torch_for_processors(Path("other/python"), INSTALL)
    assert "taking pip's usual build" in capsys.readouterr().err


def test_with_a_card_or_with_torch_nothing_is_asked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run.torch_for_processors(Path("python"), INSTALL)  # torch is there
    assert len(run.calls) == 1
    monkeypatch.setattr(run, "has_nvidia_card", lambda: True)
    run.torch_for_processors(Path("other/python"), INSTALL)
    assert len(run.calls) == 1
