"""What the benchmarks of speed share: waiting threads that sleep, as in the program, and busy neighbours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from napari_biofm.engine.threads import QUIET

BUSY = "while True: pass"


def as_the_program_runs() -> None:
    """Start again with the environment of the program's own processes; OpenMP reads it when torch is loaded."""
    if any(name not in os.environ for name in QUIET):
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        os.execv(sys.executable, [sys.executable, "-W", "ignore", *sys.argv])


@contextmanager
def neighbours(n: int) -> Iterator[None]:
    """Keep `n` processes busy, each on a processor of its own as long as there are enough."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
