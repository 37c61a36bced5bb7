"""What a program holds: memory, threads, handles, widgets, shared memory, processes; and whether it grows."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

KEYS = ("memory_mb", "workers_mb", "threads", "handles", "widgets", "segments", "processes")
WARM_UP = 0.3  # share of the rows that is left out: imports, caches, first use of each tool
LEAST_MB = 4.0  # growth over a whole run that is not told from noise
SHARED = Path("/dev/shm")
MARK = "NAPARI_BIOFM_SOAK"  # in the environment of everything that a benchmark starts


def family(mark: str) -> list[psutil.Process]:
    """Return every process that was started with this mark, also one whose parent is gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def segments_of(processes: list[psutil.Process]) -> set[str]:
    """Return the names of the shared memory that processes hold."""
    names: set[str] = set()
    for process in processes:
        with suppress(OSError):
            for link in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(OSError):
                    target = os.readlink(link)
                    if target.startswith(f"{SHARED}/psm_"):
                        names.add(target.removeprefix(f"{SHARED}/").removesuffix(" (deleted)"))
    return names


def held() -> dict[str, float]:
    """Return what this process and its children hold, after what is free was handed back."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    me = psutil.Process()
    children = me.children(recursive=True)
    workers = 0
    for child in children:
        with suppress(psutil.Error):
            workers += child.memory_info().rss
    return {
        "memory_mb": me.memory_info().rss / 1e6,
        "workers_mb": workers / 1e6,
        "threads": me.num_threads(),
        "handles": me.num_fds() if hasattr(me, "num_fds") else me.num_handles(),
        "widgets": _widgets(),
        "segments": len(segments_of([me, *children])),
        "processes": len(children),
    }


def _widgets() -> int:
    if "qtpy" not in sys.modules:
        return 0
    from qtpy.QtWidgets import QApplication

    return len(QApplication.allWidgets())


class Growth:
    """Rows of what is held, and the slope of each column.

    Parameters
    ----------
    title : of the table.
    measure : returns a row.
    """

    def __init__(self, title: str, measure: Callable[[], dict[str, float]] = held) -> None:
        self.title, self._measure = title, measure
        self.at: list[int] = []
        self.rows: list[dict[str, float]] = []

    def take(self, cycle: int, say: bool = True) -> None:
        """Measure now; print the row where `say`."""
        if not self.rows:
            print(f"\n{self.title}\n{'cycle':>7}" + "".join(f"{key:>12}" for key in KEYS), flush=True)
        self.at.append(cycle)
        self.rows.append(self._measure())
        if say:
            print(f"{cycle:7d}" + "".join(f"{self.rows[-1][key]:12.1f}" for key in KEYS), flush=True)

    def slopes(self) -> dict[str, dict[str, Any]]:
        """Return slope per 100 cycles with its standard error, growth over the run, and whether it is flat.

        Flat: the slope is below twice its standard error, or the growth over all measured cycles is below 4 MB, or
        below one thing that is counted.
        """
        first = int(WARM_UP * len(self.rows))
        x = np.asarray(self.at[first:], float)
        out = {}
        for key in KEYS:
            y = np.array([row[key] for row in self.rows[first:]])
            slope, error = line_through(x, y)
            growth = slope * (x[-1] - x[0]) if len(x) else 0.0
            least = LEAST_MB if key.endswith("_mb") else 1.0
            flat = bool(slope <= 2 * error or growth < least)
            out[key] = {"per_100": 100 * slope, "se_per_100": 100 * error, "growth": growth, "flat": flat}
        return out

    def report(self) -> dict[str, Any]:
        """Print the slopes and return them."""
        slopes = self.slopes()
        for name in ("per_100", "se_per_100", "growth"):
            print(f"{name[:7]:>7}" + "".join(f"{slopes[key][name]:12.2f}" for key in KEYS))
        bad = [key for key in KEYS if not slopes[key]["flat"]]
        print(f"grows: {', '.join(bad) if bad else 'nothing'}", flush=True)
        return {"cycles": self.at[-1] if self.at else 0, "grows": bad, "slopes": slopes}


def line_through(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and its standard error of a straight line through points; 0 where there are too few."""
    if len(x) < 3 or np.ptp(x) == 0:
        return 0.0, float("inf")
    slope, offset = np.polyfit(x, y, 1)
    spread = np.sqrt(((y - slope * x - offset) ** 2).sum() / (len(x) - 2))
    return float(slope), float(spread / np.sqrt(((x - x.mean()) ** 2).sum()))
