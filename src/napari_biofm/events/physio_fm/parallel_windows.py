"""Several windows at once, one processor core for each share of them.

A window's activations fit into a core's cache, those of a whole batch do not, and threads that share every
small operation wait for each other more than they compute. Measured by `benchmarks/events.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SHARE = 2  # windows at once per core; fixed, so that no answer depends on the number of cores
Answer = dict[str, NDArray[Any]]


class ParallelWindows:
    """Works on shares of a batch, as many at a time as torch has threads for one operation."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0

    def __call__(self, work: Callable[[NDArray[np.float32]], Answer], windows: NDArray[np.float32]) -> Answer:
        """Return what `work` says of all windows, in their order.

        Parameters
        ----------
        work : from some windows (b, T) to arrays (b, ...); may use torch on the CPU.
        windows : (B, T).
        """
        shares = [windows[first : first + SHARE] for first in range(0, len(windows), SHARE)]
        threads = torch.get_num_threads()
        if len(shares) == 1 or threads == 1:
            outputs = [work(share) for share in shares]
        else:
            pool = self._workers(threads)
            torch.set_num_threads(1)  # inside a share; the setting is the process's, so it is given back
            try:
                outputs = list(pool.map(work, shares))
            finally:
                torch.set_num_threads(threads)
        return {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}

    def _workers(self, threads: int) -> ThreadPoolExecutor:
        if self._pool is None or self._size != threads:
            if self._pool is not None:
                self._pool.shutdown(wait=False)
            self._size = threads
            self._pool = ThreadPoolExecutor(
                threads, "physio-fm", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self._pool
