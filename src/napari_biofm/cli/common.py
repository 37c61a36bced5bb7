"""What the verbs share: progress on stderr, files that are whole or absent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write, plain_json
from napari_biofm.types import BiofmError, Progress, ProgressListener, Task, run_task

T = TypeVar("T")
CLEAR = "\r\x1b[K"  # to the start of the line, and the rest of it away
DEVICES = ("auto", "cpu", "cuda", "mps")


def shown(title: str = "") -> ProgressListener:
    """Return what shows the steps of a task on stderr: one line rewritten on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        return lambda _: None

    def show(step: Progress) -> None:
        print(f"{CLEAR}{title} {step.done}/{step.total} {step.message}", end="", file=sys.stderr, flush=True)

    return show


def drain(task: Task[T], title: str = "") -> T:
    """Run a task, its progress on stderr."""
    return run_task(task, shown(title))


def clear_line() -> None:
    """Take the line of progress away, where there is a terminal."""
    if sys.stderr.isatty():
        print(CLEAR, end="", file=sys.stderr, flush=True)


def note(message: str) -> None:
    """Say something on stderr."""
    clear_line()
    print(message, file=sys.stderr)


def write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write an .npz, whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))


def written_as(out: Path, *endings: str) -> str:
    """Return the ending of a result's file in lower case, before any work is done.

    Raises
    ------
    BiofmError
        If the result is not written in that format.
    """
    ending = out.suffix.lower()
    if ending not in endings:
        raise BiofmError(f"{out.name}: this result is written as {' or '.join(endings)}; choose one of them")
    return ending


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    print(json.dumps(value, indent=2, default=plain_json))


def inputs_exist(paths: list[Path]) -> list[Path]:
    """Return the paths, or raise for the first that is not there, before any work is done."""
    for path in paths:
        if not path.exists():
            raise BiofmError(f"{path} does not exist.")
    return paths
