"""The recipes of docs/contributing.md are carried out on a copy of the package, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "contributing.md"
RECIPES = ("A segmenter", "A reader", "A detector", "An analysis", "A dock")


def blocks_of(title: str) -> list[str]:
    """Return the code blocks of a section."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```(?:python|yaml)\n(.*?)^```", section, re.M | re.S)


def insert_after(path: Path, anchor: str, lines: str) -> None:
    """Put lines behind the place in a file that reads like `anchor`, whatever its line breaks."""
    pattern = r"\s*".join(re.escape(word) for word in anchor.split())
    text = path.read_text(encoding="utf-8")
    places = re.findall(pattern, text)
    assert len(places) == 1, f"{path.name}: {len(places)} places read '{anchor}'"
    end = re.search(pattern, text).end()  # type: ignore[union-attr]
    newline = text.index("\n", end) + 1
    path.write_text(text[:newline] + lines + text[newline:], encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package's sources; the weights are linked."""
    source = ROOT / "src" / "napari_biofm"
    target = tmp_path / "src" / "napari_biofm"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    (target / "weights").symlink_to(source / "weights", target_is_directory=True)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the copy links the weights")
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_and_touches_two_files_at_most(title: str, copy: Path, tmp_path: Path) -> None:
    touched: set[str] = set()
    checks = []
    for block in blocks_of(title):
        first, _, rest = block.partition("\n")
        if first == "# check":
            checks.append(rest)
        elif first.startswith("# new file: "):
            name = first.removeprefix("# new file: ")
            assert not (copy / name).exists()
            (copy / name).write_text(rest, encoding="utf-8")
            touched.add(name)
        else:
            for part in re.split(r"^(?=# in )", block, flags=re.M):
                if not part:
                    continue
                head, _, lines = part.partition("\n")
                name, anchor = re.match(r"# in (\S+), after: (.*)", head).groups()  # type: ignore[union-attr]
                insert_after(copy / name, anchor, lines)
                touched.add(name)
    assert len(checks) == 1 and 1 <= len(touched) <= 2
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", checks[0]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
