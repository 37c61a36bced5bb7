"""Every engine runs the same jobs the same way; the worker process can die without harm."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.engine import Engine, InlineEngine, JobState, channel, make_engine, probe
from napari_biofm.engine.warm import forget, keep
from napari_biofm.types import EngineError, Progress

WAIT = 60.0


@pytest.fixture(params=["inline", "worker"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = make_engine(request.param)
    yield made
    made.close()


@pytest.fixture
def worker() -> Iterator[Engine]:
    made = make_engine("worker")
    yield made
    made.close()


def test_a_task_reports_each_step_and_returns_its_result(engine: Engine) -> None:
    seen: list[Progress] = []
    job = engine.submit(probe.count, 3, 0.0, on_progress=seen.append)
    pid = job.result(WAIT)
    assert [p.done for p in seen] == [1, 2, 3]
    assert job.state is JobState.DONE
    assert (pid == os.getpid()) == isinstance(engine, InlineEngine)


def test_arrays_cross_both_ways_unchanged(engine: Engine) -> None:
    array = np.random.default_rng(0).normal(size=(700, 600)).astype(np.float32)
    back = engine.submit(probe.echo, array).result(WAIT)
    np.testing.assert_array_equal(back, array + 1)
    assert back.flags.writeable


def test_a_failing_job_tells_what_happened(engine: Engine) -> None:
    told: list[BaseException] = []
    job = engine.submit(probe.fail, "the flask is empty", on_error=told.append)
    with pytest.raises((ValueError, EngineError), match="the flask is empty"):
        job.result(WAIT)
    assert job.state is JobState.FAILED
    assert len(told) == 1


def test_cancel_takes_effect_within_one_step(engine: Engine) -> None:
    steps: list[int] = []
    ended = threading.Event()
    holder: list[object] = []

    def stop_after_two(progress: Progress) -> None:
        steps.append(progress.done)
        if progress.done == 2:
            engine.jobs[0].cancel()

    holder.append(engine.submit(probe.count, 50, 0.05, on_progress=stop_after_two, on_cancel=ended.set))
    assert ended.wait(WAIT)
    assert max(steps) <= 3


def test_a_job_ends_with_its_layer(worker: Engine) -> None:
    ended = threading.Event()
    job = worker.submit(probe.count, 100, 0.05, bound_to="layer-1", on_cancel=ended.set)
    other = worker.submit(probe.count, 1, 0.0, bound_to="layer-2")
    worker.cancel_bound("layer-1")
    assert ended.wait(WAIT)
    assert job.state is JobState.CANCELLED
    assert other.result(WAIT) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_worker_is_a_message_and_the_next_job_works(worker: Engine) -> None:
    started = threading.Event()
    job = worker.submit(probe.count, 200, 0.05, on_progress=lambda _: started.set())
    assert started.wait(WAIT)
    first = worker.worker_pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineError, match="killed by signal 9.*memory"):
        job.result(WAIT)
    assert worker.submit(probe.describe_process).result(WAIT)["pid"] != first


def test_an_unreadable_job_fails_alone(worker: Engine) -> None:
    with pytest.raises(EngineError, match="could not be sent"):
        worker.submit(lambda: 1, name="a lambda").result(WAIT)
    assert worker.submit(probe.echo, np.ones(3)).result(WAIT).tolist() == [2, 2, 2]


def test_a_closed_engine_refuses(engine: Engine) -> None:
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.submit(probe.count, 1, 0.0)


def test_submitting_a_large_image_does_not_hold_the_caller(worker: Engine) -> None:
    went_on = threading.Event()

    class Large(np.ndarray):
        """An image that is copied only after the caller went on."""

        def __reduce_ex__(self, protocol: Any) -> Any:
            assert went_on.wait(WAIT), "the caller waits for the copy"
            return self.view(np.ndarray).__reduce_ex__(protocol)

    image = np.zeros((4000, 4000), np.float32)
    job = worker.submit(probe.echo, image.view(Large))
    went_on.set()
    assert job.result(WAIT).shape == image.shape


def test_no_shared_memory_is_left_behind(worker: Engine, blocks_left: Callable[[], list[str]]) -> None:
    for _ in range(3):
        worker.submit(probe.echo, np.zeros(100_000)).result(WAIT)
    worker.close()
    assert blocks_left() == []


def test_models_are_kept_warm_up_to_a_limit() -> None:
    forget()
    made: list[int] = []
    for key in (1, 2, 1, 3, 4, 1):
        keep(key, lambda k=key: made.append(k) or k)
    assert made == [1, 2, 3, 4]
    forget()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(EngineError, match="is no engine"):
        make_engine("abacus")


def test_the_worker_imports_nothing_from_the_folder_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    for name in ("queue", "random", "json", "torch"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = make_engine("worker")
    try:
        assert engine.submit(probe.describe_process).result(WAIT)["pid"] != os.getpid()
    finally:
        engine.close()
    assert not mark.exists()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="memory is reserved on POSIX only")
def test_arrays_cross_where_shared_memory_is_full(worker: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("shared memory is a folder on Linux only")
    tried: list[int] = []

    def full(descriptor: int, start: int, size: int) -> None:
        tried.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name for path in shared.glob("psm_*")}
    monkeypatch.setattr(os, "posix_fallocate", full)
    two = channel.pack([np.ones(100_000), np.zeros(100_000)])
    assert two.blocks == () and tried == [800_000]
    assert {path.name for path in shared.glob("psm_*")} <= before
    array = np.arange(200_000.0)
    np.testing.assert_array_equal(worker.submit(probe.echo, array).result(WAIT), array + 1)
