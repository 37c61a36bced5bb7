"""The command that runs the code of the tutorials says how it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, str(Path(__file__).parents[2] / "docs" / "check_tutorials.py")]


@pytest.mark.parametrize(
    ("word", "code", "words"),
    [("--help", 0, "PAGE"), ("none", 2, "there is no page none: give some of batch,")],
)
def test_help_and_a_page_that_is_not_there_are_words(word: str, code: int, words: str) -> None:
    run = subprocess.run([*COMMAND, word], capture_output=True, text=True)
    assert run.returncode == code and words in run.stdout + run.stderr and "Traceback" not in run.stderr
