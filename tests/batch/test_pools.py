"""How work is handed out: many short items in a task, few at the end, and no more threads than asked for."""

from __future__ import annotations

from typing import Any

import pytest
from threadpoolctl import threadpool_info

from napari_biofm.batch.pools import MOST, QUIET, TRIM, Cluster, ThisProcess, items_in_a_task
from napari_biofm.batch.work import one_thread, threads_as_before


@pytest.mark.parametrize(
    ("seconds", "work", "n"),
    [
        (0.025, 0.025, 20),
        (0.25, 0.025, 20),
        (2.0, 0.025, 2),
        (0.5, 0.001, 10),
        (9.0, 9.0, 1),
        (0.0, 0.0, MOST),
    ],
)
def test_a_task_is_half_a_second_of_work_and_some_seconds_at_most(
    seconds: float, work: float, n: int
) -> None:
    assert items_in_a_task([{"seconds": seconds, "cpu_seconds": work}]) == n
    assert items_in_a_task([{"seconds": 0.1}]) == 5, "a lost item has no seconds of work"


def test_tasks_become_short_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    import distributed
    from tests.batch.test_run import make_jobs

    sizes: list[int] = []

    class Future:
        status = "finished"

        def __init__(self, part: list[Any], key: str) -> None:
            self.part, self.key = part, key
            sizes.append(len(part))

        def result(self) -> list[dict[str, Any]]:
            return [{"seconds": 0.01, "cpu_seconds": 0.01}] * len(self.part)

        def release(self) -> None: ...

    class Client:
        loop = None

        def scheduler_info(self) -> dict[str, Any]:
            return {"workers": {"a": 1, "b": 2}}

        def submit(self, _do: Any, _work: Any, part: list[Any], key: str, **_: Any) -> Future:
            return Future(part, key)

    class Done(list):
        def __init__(self, *_: Any, **__: Any) -> None: ...

        add = list.append

    monkeypatch.setattr(distributed, "as_completed", Done)
    pool = Cluster.__new__(Cluster)
    pool._client = Client()
    jobs = make_jobs(600)
    assert [job for job, _ in pool.run(lambda job: {}, jobs)] == jobs
    assert sizes[:6] == [1] * 6 and max(sizes) > 30 and sizes[-6:] == [1] * 6 and sum(sizes) == 600


def test_threads_are_limited_once_and_given_back() -> None:
    before = [one["num_threads"] for one in threadpool_info()]
    with threads_as_before():
        one_thread([("measure", {})])
        one_thread([("measure", {})])
        assert {one["num_threads"] for one in threadpool_info()} <= {1}
    assert [one["num_threads"] for one in threadpool_info()] == before


def test_workers_keep_their_memory_and_dask_its_quiet() -> None:
    distributed = pytest.importorskip("distributed")
    import dask

    pool = Cluster("local", 1)
    try:
        (found,) = pool._client.run(
            lambda: (
                __import__("os").environ.get("MALLOC_TRIM_THRESHOLD_"),
                __import__("dask").config.get("distributed.worker.profile.enabled"),
            )
        ).values()
        assert found == (None, False)
        assert TRIM not in dask.config.get("distributed.nanny.pre-spawn-environ")
        assert all(dask.config.get(name) == value for name, value in QUIET.items()) and distributed
    finally:
        pool.close()


def test_items_that_need_numba_run_in_a_process_that_started_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba
    from tests.batch.test_run import make_jobs

    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", numba.config.NUMBA_DEFAULT_NUM_THREADS)
    numba.get_num_threads()
    pool = ThisProcess()
    try:
        (done,) = pool.run(lambda job: {"n": numba.njit(lambda x: x + 1)(len(job.item.key))}, make_jobs(1))
    finally:
        pool.close()
    assert done[1] == {"n": 3}
