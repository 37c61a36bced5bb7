"""Jobs on a Dask cluster: what waits, what is cancelled, and what is said where the cluster is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.engine import Engine, JobState, dask, make_engine, probe
from napari_biofm.images.io.files import read_image
from napari_biofm.types import EngineError, ImageError

distributed = pytest.importorskip("distributed", reason="needs the extra [distributed]")
WAIT = 60.0


@pytest.fixture
def cluster() -> Iterator[Any]:
    made = distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": ":0"},  # any free port: tests run beside each other
    )
    yield made
    made.close()


@pytest.fixture
def engine(cluster: Any) -> Iterator[Engine]:
    made = make_engine(cluster.scheduler_address)
    yield made
    made.close()


def test_the_same_jobs_run_there(engine: Engine) -> None:
    assert engine.submit(probe.echo, np.ones(4)).result(WAIT).sum() == 8
    seen: list[int] = []
    engine.submit(probe.count, 3, 0.01, on_progress=lambda p: seen.append(p.done)).result(WAIT)
    assert set(seen) <= {1, 2, 3}


def test_errors_are_one_line_of_ours(engine: Engine) -> None:
    with pytest.raises(EngineError, match="no reagent") as caught:
        engine.submit(probe.fail, "no reagent").result(WAIT)
    assert str(caught.value) == "ValueError: no reagent"
    assert "In the cluster node" in caught.value.__notes__[0]
    with pytest.raises(ImageError, match=r"missing\.tif"):
        engine.submit(read_image, Path("missing.tif")).result(WAIT)


def test_a_job_that_waits_says_so_and_is_cancelled_at_once(engine: Engine) -> None:
    begun, cancelled = threading.Event(), threading.Event()
    first = engine.submit(probe.count, 1000, 0.01, on_start=begun.set)
    assert begun.wait(WAIT) and first.state is JobState.RUNNING
    second = engine.submit(probe.echo, np.ones(4), on_cancel=cancelled.set)
    time.sleep(0.3)
    assert second.state is JobState.WAITING
    second.cancel()
    assert cancelled.wait(5) and first.state is JobState.RUNNING
    first.cancel()
    with pytest.raises(EngineError, match="cancelled"):
        first.result(WAIT)
    assert engine.submit(probe.echo, np.ones(4)).result(WAIT).sum() == 8


def test_what_is_painted_while_a_job_waits_does_not_reach_it(engine: Engine) -> None:
    array = np.ones(4)
    job = engine.submit(probe.echo, array)
    array[:] = 100
    assert job.result(WAIT).tolist() == [2, 2, 2, 2]


def test_a_scheduler_that_dies_is_named(
    cluster: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "GONE_S", 0.5)
    begun = threading.Event()
    job = engine.submit(probe.count, 2000, 0.01, on_start=begun.set)
    assert begun.wait(WAIT)
    cluster.close()
    with pytest.raises(EngineError, match=r"scheduler at .* went away in the middle of the job"):
        job.result(WAIT)
    assert job.state is JobState.FAILED
    monkeypatch.setattr(dask, "CONNECT_TIMEOUT", 0.5)
    with pytest.raises(EngineError, match="No Dask scheduler answers"):
        engine.submit(probe.echo, np.ones(4)).result(WAIT)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://no.such.host.invalid:8786", "nonsense://x"])
def test_a_wrong_address_holds_up_nobody_and_is_named_at_every_job(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "CONNECT_TIMEOUT", 0.5)
    began = time.monotonic()
    engine = make_engine(address)
    jobs = [engine.submit(probe.echo, np.ones(4)) for _ in range(3)]
    jobs[1].cancel()
    assert time.monotonic() - began < 0.3
    assert jobs[1].state is JobState.CANCELLED
    for job in (jobs[0], jobs[2], engine.submit(probe.echo, np.ones(4))):
        with pytest.raises(EngineError, match=f"No Dask scheduler answers at {address}"):
            job.result(WAIT)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 0.5


def test_nodes_of_another_version_are_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def versions() -> dict[str, str]:
        here = threading.current_thread().name == "biofm-cluster"
        return {"napari-biofm": "0.2.0" if here else "0.1.0", "Python": "3.11"}

    monkeypatch.setattr(dask, "_versions", versions)
    with pytest.raises(EngineError, match=r"node .* has napari-biofm 0\.1\.0, not 0\.2\.0: install the same"):
        engine.submit(probe.echo, np.ones(4)).result(WAIT)


def test_a_job_that_cannot_be_sent_fails_alone(engine: Engine) -> None:
    with pytest.raises(EngineError):
        engine.submit(probe.echo, threading.Lock()).result(WAIT)
    assert engine.submit(probe.echo, np.ones(4)).result(WAIT).sum() == 8
