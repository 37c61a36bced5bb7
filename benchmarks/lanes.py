"""Clicks beside bulk work: how long an answer takes, and what the bulk work loses by them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from clicks import field, prompts

CLICK_EVERY = 0.3  # s
SIZE = 512  # px
MODEL, KEY = "biofm-image", "benchmark"


def measure_lanes(seconds: float, turns: int) -> dict[str, float]:
    """Time clicks alone and beside segmentations, and segmentations alone and beside clicks.

    Parameters
    ----------
    seconds : of each of the parts of a turn with bulk work.
    turns : alone and beside each other, one after the other; what the machine does meanwhile meets both.
    """
    from qtpy.QtWidgets import QApplication

    from napari_biofm.engine import make_engine
    from napari_biofm.images.prompt.backends import prepare_image
    from napari_biofm.widgets.common.viewers import QtPost

    application = QApplication.instance() or QApplication([])
    engine = make_engine("worker", post=QtPost())
    image = field(SIZE)[0]
    hand, bulk = Hand(engine), Bulk(engine, image)
    try:
        engine.submit(prepare_image, KEY, MODEL, image, "cpu", lane="interactive").result(300)
        bulk.run(application, 1.0, lambda: None)  # both workers are warm
        hand.run(application, 1.0)
        hand.times.clear()
        hand.run(application, seconds)
        alone, hand.times = hand.times, []
        rates: list[tuple[float, float]] = []
        for _ in range(turns):
            undisturbed = bulk.run(application, seconds, lambda: None)
            rates.append((undisturbed, bulk.run(application, seconds, hand.look)))
    finally:
        engine.close()
    before, during = np.array(rates).sum(axis=0)
    return {
        "click_during_job_p95_ms": round(float(np.percentile(hand.times, 95)), 1),
        "click_during_job_p50_ms": round(float(np.median(hand.times)), 1),
        "click_alone_p95_ms": round(float(np.percentile(alone, 95)), 1),
        "bulk_throughput_ratio": round(float(during / before), 3),
    }


class Hand:
    """Clicks at a steady pace and notes how long each answer took, ms."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._asked = iter(prompts(SIZE, 5000))
        self._next = 0.0
        self.times: list[float] = []

    def look(self) -> None:
        """Click, if it is time."""
        from napari_biofm.images.prompt.backends import answer_prompt

        begin = time.perf_counter()
        if begin < self._next:
            return
        self._next = begin + CLICK_EVERY
        self._engine.submit(
            answer_prompt,
            KEY,
            MODEL,
            next(self._asked),
            "cpu",
            lane="interactive",
            on_done=lambda _: self.times.append(1e3 * (time.perf_counter() - begin)),
        )

    def run(self, application: Any, seconds: float) -> None:
        """Click for some time."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or self._engine.jobs:
            if time.perf_counter() < end:
                self.look()
            application.processEvents()
            time.sleep(0.0005)


class Bulk:
    """Segments one picture after the other, with one more always waiting."""

    def __init__(self, engine: Any, image: np.ndarray) -> None:
        self._engine, self._image = engine, image
        self._ends: list[float] = []

    def _submit(self) -> None:
        from napari_biofm.images.segment.jobs import segment_job
        from napari_biofm.types import SegmentationParameters

        self._engine.submit(
            segment_job,
            self._image,
            MODEL,
            SegmentationParameters(),
            "cpu",
            on_done=lambda _: self._ends.append(time.perf_counter()),
        )

    def run(self, application: Any, seconds: float, meanwhile: Callable[[], None]) -> float:
        """Return pictures per second, from the end of the first one within `seconds`."""
        self._ends = []
        for _ in range(2):
            self._submit()
        submitted, end = 2, time.perf_counter() + seconds
        while time.perf_counter() < end or len(self._ends) < 3:
            if submitted < len(self._ends) + 2:
                self._submit()
                submitted += 1
            meanwhile()
            application.processEvents()
            time.sleep(0.0005)
        rate = (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])
        while self._engine.jobs:
            application.processEvents()
            time.sleep(0.0005)
        return rate
