"""Small jobs that show whether an engine works: used by `doctor`, the benchmarks and the tests."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Progress, Task


def count(steps: int, seconds: float) -> Task[int]:
    """Take `steps` steps of `seconds` each and return the process id that took them."""
    for i in range(steps):
        time.sleep(seconds)
        yield Progress(i + 1, steps, f"step {i + 1} of {steps}")
    return os.getpid()


def busy(steps: int, seconds: float) -> Task[int]:
    """Like `count`, but hold the interpreter busy, as pure Python post-processing does."""
    for i in range(steps):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            sum(range(1000))
        yield Progress(i + 1, steps, f"step {i + 1} of {steps}")
    return os.getpid()


def echo(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array plus one, having crossed both ways."""
    return np.asarray(array + 1)


def describe_process() -> dict[str, Any]:
    """Return the process id, the Python version and whether torch is loaded there."""
    return {"pid": os.getpid(), "python": sys.version.split()[0], "torch": "torch" in sys.modules}


def fail(message: str) -> None:
    """Raise a ValueError with `message`."""
    raise ValueError(message)


def tiles(steps: int, seconds: float, size: int = 256) -> Task[int]:
    """Take busy steps, each with one labelled tile as partial result: (y, x, tile) in `payload`."""
    for i in range(steps):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            sum(range(1000))
        tile = np.full((size, size), i % 255 + 1, np.int32)
        where = ((i // 4) % 4 * size, i % 4 * size)
        yield Progress(i + 1, steps, f"tile {i + 1} of {steps}", payload=(*where, tile))
    return os.getpid()
