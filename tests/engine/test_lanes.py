"""A click never waits: interactive jobs run beside bulk ones and before them; each is cancelled alone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

from napari_biofm.engine import LANES, Engine, InlineEngine, Job, JobState, Lane, make_engine, probe
from napari_biofm.engine.process import ProcessEngine
from napari_biofm.types import EngineError

WAIT = 60.0
needs_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


@pytest.fixture
def worker() -> Iterator[ProcessEngine]:
    made = make_engine("worker")
    assert isinstance(made, ProcessEngine)
    yield made
    made.close()


def running(engine: Engine, lane: Lane, **listeners: Any) -> Job:
    """Return a job that has taken its first step and goes on until it is cancelled."""
    stepped = threading.Event()
    job = engine.submit(
        probe.count, 1_000_000, 0.005, lane=lane, on_progress=lambda _: stepped.set(), **listeners
    )
    assert stepped.wait(WAIT)
    return job


def other(lane: Lane) -> Lane:
    return "bulk" if lane == "interactive" else "interactive"


def test_there_are_two_lanes_and_a_third_is_refused() -> None:
    assert get_args(Lane) == LANES == ("interactive", "bulk")
    engine = InlineEngine()
    with pytest.raises(EngineError, match="'express' is no lane of an engine: use 'interactive' or 'bulk'"):
        engine.submit(probe.describe_process, lane="express")  # type: ignore[arg-type]


def test_a_job_is_bulk_unless_it_is_said_to_be_interactive() -> None:
    engine = InlineEngine()
    assert engine.submit(probe.describe_process).lane == "bulk"
    assert engine.submit(probe.describe_process, lane="interactive").result(WAIT)["pid"] == os.getpid()


def test_an_interactive_job_is_answered_while_a_bulk_job_runs(worker: ProcessEngine) -> None:
    bulk = running(worker, "bulk")
    answer = worker.submit(probe.echo, np.zeros(3), lane="interactive").result(WAIT)
    assert answer.tolist() == [1, 1, 1]
    assert bulk.state is JobState.RUNNING
    bulk.cancel()


def test_an_interactive_job_goes_before_bulk_jobs_that_waited_longer(worker: ProcessEngine) -> None:
    first = running(worker, "bulk")
    waiting = [worker.submit(probe.describe_process) for _ in range(3)]
    worker.submit(probe.describe_process, lane="interactive").result(WAIT)
    assert [job.state for job in waiting] == [JobState.WAITING] * 3
    first.cancel()
    assert len({job.result(WAIT)["pid"] for job in waiting}) == 1


def test_each_lane_has_a_process_that_starts_with_its_first_job(worker: ProcessEngine) -> None:
    bulk = worker.submit(probe.describe_process).result(WAIT)["pid"]
    assert worker.worker_pid == worker.pid_of("bulk") == bulk
    assert worker.pid_of("interactive") is None
    interactive = worker.submit(probe.describe_process, lane="interactive").result(WAIT)["pid"]
    assert worker.pid_of("interactive") == interactive
    assert len({bulk, interactive, os.getpid()}) == 3


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="no priorities of POSIX")
def test_bulk_work_gives_way_to_the_window_and_to_clicks(worker: ProcessEngine) -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    nice: dict[Lane, int] = {}
    for lane in LANES:
        pid = worker.submit(probe.describe_process, lane=lane).result(WAIT)["pid"]
        nice[lane] = os.getpriority(os.PRIO_PROCESS, pid)
    assert nice["interactive"] == mine
    assert nice["bulk"] > mine


@pytest.mark.parametrize("lane", LANES)
def test_jobs_of_a_lane_run_one_after_the_other_in_their_order(worker: ProcessEngine, lane: Lane) -> None:
    order: list[tuple[str, int]] = []
    jobs = []
    for k in range(6):
        job = worker.submit(
            probe.count,
            2,
            0.0,
            lane=lane,
            on_start=lambda k=k: order.append(("start", k)),
            on_done=lambda _, k=k: order.append(("done", k)),
        )
        jobs.append(job)
    ended = threading.Event()
    worker.submit(probe.describe_process, lane=lane, on_done=lambda _: ended.set())
    assert ended.wait(WAIT)
    assert order == [(what, k) for k in range(6) for what in ("start", "done")]


@pytest.mark.parametrize("lane", LANES)
def test_cancelling_a_job_of_one_lane_leaves_the_other_alone(worker: ProcessEngine, lane: Lane) -> None:
    ended = threading.Event()
    job, beside = running(worker, lane, on_cancel=ended.set), running(worker, other(lane))
    job.cancel()
    assert ended.wait(WAIT)
    assert job.state is JobState.CANCELLED
    assert beside.state is JobState.RUNNING
    assert worker.submit(probe.describe_process, lane=lane).result(WAIT)["pid"] == worker.pid_of(lane)
    beside.cancel()


@pytest.mark.parametrize("lane", LANES)
def test_a_job_that_waits_says_so_and_is_cancelled_at_once(worker: ProcessEngine, lane: Lane) -> None:
    first = running(worker, lane)
    ended = threading.Event()
    second = worker.submit(probe.count, 1, 0.0, lane=lane, on_cancel=ended.set)
    third = worker.submit(probe.describe_process, lane=lane)
    assert second.state.value == "waiting"
    second.cancel()
    assert ended.is_set()  # before the job ahead of it has ended
    assert first.state is JobState.RUNNING
    first.cancel()
    assert third.result(WAIT)["pid"] == worker.pid_of(lane)


@needs_sigkill
@pytest.mark.parametrize("lane", LANES)
def test_a_killed_worker_fails_the_job_it_ran_and_no_other(worker: ProcessEngine, lane: Lane) -> None:
    job, beside = running(worker, lane), running(worker, other(lane))
    waiting = worker.submit(probe.describe_process, lane=lane)
    pid = worker.pid_of(lane)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"ended in the middle of the job \(killed by signal 9.*memory"):
        job.result(WAIT)
    assert waiting.result(WAIT)["pid"] not in (pid, os.getpid())
    assert beside.state is JobState.RUNNING
    beside.cancel()


@needs_sigkill
@pytest.mark.parametrize("lane", LANES)
def test_a_worker_killed_between_two_jobs_is_replaced_without_a_word(
    worker: ProcessEngine, lane: Lane
) -> None:
    pid = worker.submit(probe.describe_process, lane=lane).result(WAIT)["pid"]
    os.kill(pid, signal.SIGKILL)
    assert worker.submit(probe.describe_process, lane=lane).result(WAIT)["pid"] != pid


def test_closing_ends_the_jobs_and_processes_of_both_lanes(worker: ProcessEngine) -> None:
    jobs = [running(worker, lane) for lane in LANES]
    jobs += [worker.submit(probe.echo, np.zeros(200_000), lane=lane) for lane in LANES]
    pids = [worker.pid_of(lane) for lane in LANES]
    worker.close()
    assert [job.state for job in jobs] == [JobState.CANCELLED] * 4
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_engine_closed_by_its_own_listener_ends(worker: ProcessEngine) -> None:
    closed = threading.Event()

    def close(_: Any) -> None:
        worker.close()
        closed.set()

    worker.submit(probe.describe_process, on_done=close)
    assert closed.wait(WAIT)


@pytest.mark.parametrize("end", ["cancel", "close", "kill"])
def test_jobs_that_never_ran_leave_no_shared_memory(
    worker: ProcessEngine, blocks_left: Callable[[], list[str]], end: str
) -> None:
    first = running(worker, "bulk")
    waiting = [worker.submit(probe.echo, np.zeros(100_000)) for _ in range(3)]
    packed = threading.Event()
    # refused when it is packed, which comes after the jobs ahead of it were packed
    worker.submit(lambda: 1, name="a lambda", on_error=lambda _: packed.set())
    assert packed.wait(WAIT)
    if end == "cancel":
        for job in waiting:
            job.cancel()
    elif end == "kill":
        pid = worker.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert [job.result(WAIT).sum() for job in waiting] == [100_000] * 3
    first.cancel()
    worker.close()
    assert blocks_left() == []


def test_what_happens_to_an_array_while_its_job_waits_does_not_reach_the_job(worker: ProcessEngine) -> None:
    first = running(worker, "bulk")
    array = np.zeros(100_000)
    packed = threading.Event()
    job = worker.submit(probe.echo, array)
    # refused when it is packed, which comes after the job ahead of it was packed
    worker.submit(lambda: 1, name="a lambda", on_error=lambda _: packed.set())
    assert packed.wait(WAIT)
    array += 5
    first.cancel()
    assert job.result(WAIT).max() == 1
