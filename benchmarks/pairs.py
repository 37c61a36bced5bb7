"""Measuring two programs side by side on a machine that does other things too.

Runs alternate (A B A B ...), so that whatever else the machine does hits both, and the median of the
ratios of neighbours is quoted. Memory is the peak of the resident size above what it was before.
"""

from __future__ import annotations

import json
import platform
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Side:
    """Times in seconds, processor seconds and peak memory in bytes of one contender."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(side: Side, run: Callable[[], Any]) -> Any:
    """Run once, noting time and peak memory; return what the run returns."""
    import psutil

    process = psutil.Process()
    before = peak = process.memory_info().rss
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, busy = time.perf_counter(), time.process_time()
    try:
        result = run()
    finally:
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        stop.set()
        watcher.join()
    side.seconds.append(seconds)
    side.processor.append(busy)
    side.memory.append(peak - before)
    return result


def compare(
    stock: Side,
    run_stock: Callable[[], Any],
    ours: Side,
    run_ours: Callable[[], Any],
    pairs: int,
    budget: float,
) -> float:
    """Alternate the two until `pairs` or the budget (seconds) is reached; return stock / ours."""
    start = time.perf_counter()
    for _ in range(pairs):
        measure(stock, run_stock)
        measure(ours, run_ours)
        spent = time.perf_counter() - start
        if spent + spent / len(ours.seconds) > budget:
            break
    return statistics.median(a / b for a, b in zip(stock.seconds, ours.seconds, strict=True))


def processor_ratio(stock: Side, ours: Side) -> float:
    """Return stock / ours in processor seconds, which other programs on the machine disturb less."""
    return statistics.median(stock.processor) / statistics.median(ours.processor)


def report(title: str, sides: list[Side], rows: dict[str, Any], result: dict[str, Any]) -> None:
    """Print the table, then the JSON line."""
    import torch

    print(title)
    processor = platform.processor() or platform.machine()
    print(f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for side in sides:
        runs = ", ".join(f"{s:.2f}" for s in side.seconds)
        memory, busy = max(side.memory) / 1e6, statistics.median(side.processor)
        print(
            f"  {side.name:<34} {side.median:8.2f} s (runs: {runs}; processor {busy:.2f} s), +{memory:.0f} MB"
        )
    for name, value in rows.items():
        print(f"  {name:<34} {value}")
    print(json.dumps(result))
