"""What the verbs share: progress on stderr, files that are whole or absent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write, plain_json
from napari_biofm.types import BiofmError, Task

T = TypeVar("T")
DEVICES = ("auto", "cpu", "cuda", "mps")


def drain(task: Task[T], title: str = "") -> T:
    """Run a task, its progress on stderr: one line rewritten on a terminal, nothing in a pipe."""
    show = sys.stderr.isatty()
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            if show:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            result: T = stop.value
            return result
        if show:
            print(
                f"\r\x1b[K{title} {step.done}/{step.total} {step.message}",
                end="",
                file=sys.stderr,
                flush=True,
            )


def note(message: str) -> None:
    """Say something on stderr."""
    print(message, file=sys.stderr)


def write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write an .npz, whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    print(json.dumps(value, indent=2, default=plain_json))


def inputs_exist(paths: list[Path]) -> list[Path]:
    """Return the paths, or raise for the first that is not there, before any work is done."""
    for path in paths:
        if not path.exists():
            raise BiofmError(f"{path} does not exist.")
    return paths


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, MB."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


Run = Callable[[Any], None]
