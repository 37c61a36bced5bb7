"""Heads are fitted on one thread each, several heads beside each other: their matrices are too small to share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 4  # heads fitted at once


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS and OpenMP use one thread.

    Threads that share a matrix of 1,600 x 320 wait for each other more than they compute: principal axes cost three
    times the processor time on two of them, and more where anything else runs on the machine.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def beside_each_other(work: Callable[[Item], Answer], items: Sequence[Item]) -> Iterator[Answer]:
    """Yield `work` of every item in their order, as many at a time as there are processors (4 at most).

    Each call has BLAS and OpenMP on one thread. OMP_NUM_THREADS, where it is set, is the most at a time. Closing the
    iterator drops what has not begun.

    Parameters
    ----------
    work : must not depend on the order of calls. items : what it is called with.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    at_once = min(MOST, os.cpu_count() or 1, int(said) if said.isdigit() and int(said) else MOST, len(items))
    if at_once < 2:
        with one_thread():
            yield from map(work, items)
        return

    def limited(item: Item) -> Answer:
        with one_thread():  # OpenMP keeps its limit for each thread
            return work(item)

    with one_thread(), ThreadPoolExecutor(at_once, "heads") as pool:
        jobs = [pool.submit(limited, item) for item in items]
        try:
            for job in jobs:
                yield job.result()
        finally:
            for job in jobs:
                job.cancel()
