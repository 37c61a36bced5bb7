"""Every link of the documents that points into the repository points at something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = re.compile(
    r"https://(?:github\.com/napari-biofm/napari-biofm/(?:blob|tree)/main"
    r"|raw\.githubusercontent\.com/napari-biofm/napari-biofm/main)/(.*)"
)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])


def text_of(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"^```.*?^```|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links_of(page: Path) -> list[str]:
    """Return the targets of the links and pictures of a page."""
    return re.findall(r"\]\(<?([^)\s>]+)[^)]*\)", text_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_into_the_repository_resolves(page: Path) -> None:
    broken = []
    for link in links_of(page):
        ours = OURS.fullmatch(link)
        if ours is None and re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = (ours[1] if ours else link).partition("#")
        target = page if not name else ((ROOT if ours else page.parent) / name).resolve()
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in links_of(index) if not re.match(r"[a-z]+:", link)}
    assert {page for page in index.parent.glob("*.md") if page != index} <= linked
