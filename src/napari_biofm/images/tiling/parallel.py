"""Work on rows or labels shared among threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORKERS = min(os.cpu_count() or 1, 4)


def shared(work: Callable[..., None], out: NDArray[Any], *given: Any) -> None:
    """Fill `out` by `work(out, first, last, *given)`, in threads where it is long."""
    parts = 4 * WORKERS if len(out) > 256 else 1  # more than threads: cells lie unevenly
    edges = np.linspace(0, len(out), parts + 1).astype(int).tolist()
    if parts == 1:
        work(out, 0, len(out), *given)
        return
    with ThreadPoolExecutor(WORKERS, "dynamics") as pool:
        jobs = [pool.submit(work, out, a, b, *given) for a, b in pairwise(edges)]
        for job in jobs:
            job.result()
