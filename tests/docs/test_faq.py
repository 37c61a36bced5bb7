"""The questions quote what the program says, and the README names all verbs."""

from __future__ import annotations

import re
from pathlib import Path

from napari_biofm.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
HEADINGS = re.findall(r"^### (.+)$", (ROOT / "docs" / "faq.md").read_text(encoding="utf-8"), re.M)


def test_there_are_forty_questions_at_least_and_none_twice() -> None:
    assert len(HEADINGS) >= 40
    assert len(set(HEADINGS)) == len(HEADINGS)


def test_every_message_that_a_question_quotes_stands_in_the_program() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    quoted = [
        part.strip() for h in HEADINGS for text in re.findall(r'"([^"]+)"', h) for part in text.split("...")
    ]
    assert len(quoted) > 20
    assert [part for part in quoted if part not in source] == []


def test_the_readme_names_every_verb_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listing = text.split("All verbs, each explained", 1)[1].split("Files are written", 1)[0]
    named = set(re.findall(r"`([a-z-]+)`", listing))
    (verbs,) = (a.choices for a in build_parser()._actions if isinstance(a.choices, dict))
    assert named == set(verbs)
