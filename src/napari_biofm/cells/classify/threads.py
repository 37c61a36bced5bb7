"""Heads are fitted on one thread: their matrices are too small to share."""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS and OpenMP use one thread.

    Threads that share a matrix of 1,600 x 320 wait for each other more than they compute: principal axes cost three
    times the processor time on two of them, and more where anything else runs on the machine.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
