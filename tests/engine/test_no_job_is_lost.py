"""Whatever is submitted, cancelled and killed: every job ends once, with its own result, in the order of its lane."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_biofm.engine import LANES, Job, JobState, Lane, probe
from napari_biofm.engine.process import ProcessEngine
from napari_biofm.types import EngineError

WAIT = 60.0
KINDS = ("quick", "array", "long", "fails", "cannot be sent")


@pytest.fixture(scope="module")
def engine() -> Iterator[ProcessEngine]:
    made = ProcessEngine()
    yield made
    made.close()


class Watched:
    """A job and what its listeners heard."""

    def __init__(self, engine: ProcessEngine, kind: str, lane: Lane, token: int, order: list[int]) -> None:
        self.kind, self.token = kind, token
        self.heard: list[tuple[str, Any]] = []
        self.ended = threading.Event()
        function, args = {
            "quick": (probe.count, (2, 0.0)),
            "array": (probe.echo, (np.full(20_000, token),)),
            "long": (probe.count, (1_000_000, 0.002)),
            "fails": (probe.fail, (f"reagent {token}",)),
            "cannot be sent": (lambda: None, ()),
        }[kind]
        self.job: Job = engine.submit(
            function,
            *args,
            name=f"job {token}",
            lane=lane,
            on_start=lambda: order.append(token),
            on_done=lambda result: self._end("done", result),
            on_error=lambda error: self._end("failed", error),
            on_cancel=lambda: self._end("cancelled", None),
        )

    def _end(self, what: str, content: Any) -> None:
        self.heard.append((what, content))
        self.ended.set()

    def check(self, killed: bool, cancelled: bool) -> None:
        """Compare what was heard with what this kind of job can end as."""
        assert len(self.heard) == 1
        what, content = self.heard[0]
        assert self.job.state.value == what
        if what == "done":
            assert self.kind in ("quick", "array")
            if self.kind == "array":
                assert np.all(content == self.token + 1)
        elif what == "cancelled":
            assert cancelled
        elif self.kind == "fails" and f"reagent {self.token}" in str(content):
            assert isinstance(content, EngineError)
        elif self.kind == "cannot be sent":
            assert "could not be sent" in str(content)
        else:
            assert killed
            assert "ended in the middle of the job" in str(content)


submitted = st.tuples(st.just("submit"), st.sampled_from(KINDS), st.sampled_from(LANES))
cancelled = st.tuples(st.just("cancel"), st.integers(0, 11), st.none())
killed = st.tuples(st.just("kill"), st.none(), st.sampled_from(LANES))
steps = submitted | cancelled if sys.platform == "win32" else submitted | submitted | cancelled | killed


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(walk=st.lists(steps, min_size=1, max_size=12))
def test_every_job_ends_once_whatever_happens(
    engine: ProcessEngine, walk: list[tuple[str, Any, Any]]
) -> None:
    jobs: list[Watched] = []
    order: dict[Lane, list[int]] = {lane: [] for lane in LANES}
    asked: set[int] = set()
    kills: set[Lane] = set()
    for what, which, lane in walk:
        if what == "submit":
            jobs.append(Watched(engine, which, lane, len(jobs), order[lane]))
        elif what == "cancel" and which < len(jobs):
            asked.add(which)
            jobs[which].job.cancel()
        elif what == "kill" and (pid := engine.pid_of(lane)) is not None:
            kills.add(lane)
            with suppress(ProcessLookupError):  # it was killed a moment ago
                os.kill(pid, signal.SIGKILL)
    for watched in jobs:
        if watched.kind == "long":
            asked.add(watched.token)
            watched.job.cancel()
    for watched in jobs:
        assert watched.ended.wait(WAIT), f"{watched.job} was lost"
        watched.check(watched.job.lane in kills, watched.token in asked)
    assert engine.jobs == []
    assert all(tokens == sorted(tokens) for tokens in order.values())
    assert all(job.job.state is not JobState.WAITING for job in jobs)
