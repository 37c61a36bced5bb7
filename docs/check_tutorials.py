"""Run the code of the tutorials and compare what it prints with the text.

    python docs/check_tutorials.py [PAGE ...]

Of each page the blocks `bash` and `python` run one after the other in one folder that holds the sample data; each line
of a block `text` must stand in what the block before it printed. Prints the seconds of each page; exits with 1 where a
block failed or a line is missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PAGES = Path(__file__).resolve().parent / "tutorials"
TABLES = ("columns.md", "measures.md", "features.md", "conditions.md")
NAMED = [
    name.strip()
    for page in TABLES
    for code in re.findall(r"`([^`\n]+)`", (PAGES.parent / page).read_text(encoding="utf-8"))
    for name in re.split(r"[,;]", code)
]
DEFINED = {name for name in NAMED if "<" not in name and "#" not in name}
PATTERNS = [  # `dff_#` is of a cell, `<ch>_mean` of a channel; a pattern that is all name would fit anything
    re.compile(re.sub(r"<[a-z ]+>", ".+", re.escape(name).replace(r"\ ", " ").replace(r"\#", r"\d+")))
    for name in NAMED
    if re.search(r"<[a-z ]+>|#", name) and not re.fullmatch(r"<[a-z ]+>", name)
]
MARK = "-- next block --"
BLOCK = re.compile(r"^```(bash|python|text)\n(.*?)^```", re.M | re.S)


def faults_of(page: Path, sample: Path) -> list[str]:
    """Run a page in a folder of its own; return what is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder, faults = Path(name), []
        if page.name != "index.md":
            shutil.copytree(sample, folder / "sample")
        (folder / "out").mkdir()
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        script = f"print({MARK!r})\n".join(code for kind, code in blocks if kind == "python")
        parts: list[str] | None = None  # what each block of Python printed: a page is one script
        said = ""
        for kind, code in blocks:
            if kind == "text":
                faults += [f"not printed: {line}" for line in code.splitlines() if squeezed(line) not in said]
            elif kind == "bash":
                said = output_of(["bash", "-e", "-c", code], folder, faults)
            else:
                if parts is None:
                    parts = output_of([sys.executable, "-W", "ignore", "-c", script], folder, faults).split(
                        MARK
                    )
                said = parts.pop(0) if parts else ""
        return faults + undefined(folder / "out")


def undefined(folder: Path) -> list[str]:
    """Return the columns of the tables in a folder that no page defines."""
    found = []
    given = {
        name for table in folder.parent.glob("sample/*.csv") for name in head_of(table)
    }  # columns that went in
    for table in sorted(folder.rglob("*.csv")):
        beside = table.with_name(f"{table.stem}.definitions.json")
        own = set(json.loads(beside.read_text(encoding="utf-8"))) if beside.exists() else set()
        known = own | given | DEFINED
        missing = [name for name in head_of(table) if not is_known(name, known)]
        found += [f"{table.name}: column {name} is defined nowhere" for name in missing[:5]]
    return found


def is_known(name: str, known: set[str]) -> bool:
    """Whether a column is defined: by its name, with its unit in pixels for micrometres, or by a pattern."""
    pixels = f"{name.removesuffix('_um')}_px"
    return name in known or pixels in known or any(pattern.fullmatch(name) for pattern in PATTERNS)


def head_of(table: Path) -> list[str]:
    """Return the names of the columns of a table."""
    with table.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines))


def output_of(command: list[str], folder: Path, faults: list[str]) -> str:
    """Return what a command prints, squeezed; tell where it fails."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=surroundings())
    if run.returncode:
        faults.append(f"{command[0]} ended with {run.returncode}: {(run.stderr or run.stdout)[-400:]}")
    return squeezed(run.stdout + run.stderr)


def squeezed(text: str) -> str:
    """Return text with single spaces."""
    return re.sub(r"\s+", " ", text).strip()


def surroundings() -> dict[str, str]:
    """Return the environment: this Python and its commands first, nothing kept, one thread for each of two pages."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {
        **os.environ,
        "PATH": path,
        "NAPARI_BIOFM_AUTOSAVE": "off",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }


def timed(page: Path, sample: Path) -> tuple[float, list[str]]:
    """Return the seconds that a page took, and what is wrong with it."""
    start = time.perf_counter()
    faults = faults_of(page, sample)
    return time.perf_counter() - start, faults


def main() -> int:
    """Check the pages that are named, else all; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [page.stem for page in sorted(PAGES.glob("*.md"))]
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(known)} (default: all)")
    names = [Path(name).stem for name in parser.parse_args().pages]
    for name in names:
        if name not in known:
            parser.error(f"there is no page {name}: give some of {', '.join(known)}")
    pages = [PAGES / f"{name}.md" for name in names or known]
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        sample = Path(name) / "sample"
        command = [sys.executable, "-m", "napari_biofm.cli", "samples", "--out", str(sample)]
        subprocess.run(command, check=True, capture_output=True, env=surroundings())
        with ThreadPoolExecutor(2) as pool:
            all_faults = list(pool.map(lambda page: timed(page, sample), pages))
        for page, (seconds, faults) in zip(pages, all_faults, strict=True):
            bad += bool(faults)
            sys.stdout.write(f"{page.name}: {seconds:.1f} s\n")
            sys.stdout.write("".join(f"    {fault}\n" for fault in faults))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
