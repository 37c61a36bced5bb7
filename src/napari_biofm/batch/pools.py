"""Where items are worked on: in this process, on processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, Protocol

from napari_biofm import __version__
from napari_biofm.batch.jobs import Job
from napari_biofm.batch.work import finished, threads_as_before
from napari_biofm.types import BatchError

AHEAD = 3  # tasks per worker that are handed out at a time
TASK = 0.5  # s of work in a task, if its items are short: handing one out costs some milliseconds
LONGEST = 5.0  # s that such a task may take by the clock
MOST = 50  # items in a task
GONE = "The scheduler is gone. Finished items are kept: run again with --resume when it is back."
CONNECT_TIMEOUT = 8.0  # s
QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
NUMBA = "NUMBA_NUM_THREADS"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", NUMBA: "1",
    "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "PYTHONSAFEPATH": "1",
}  # fmt: skip
TRIM = "MALLOC_TRIM_THRESHOLD_"
# What Dask does by the clock beside the work: with its defaults 12 % of a core for two workers, 3 % so
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
}
OF_WORKERS = (
    *ONE_THREAD,
    "PYTHONHASHSEED",
    "MALLOC_TRIM_THRESHOLD_",
    "__DASK_PARENT_PID",
)  # the last three by Dask
Work = Callable[[Job], dict[str, Any]]


class Pool(Protocol):
    """Runs a function on many jobs."""

    description: str

    def run(self, work: Work, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Yield each job with its row as it is done, in any order."""
        ...

    def close(self) -> None:
        """Let go of the workers."""
        ...


class ThisProcess:
    """Works on one item after the other, on one thread, as the workers of a cluster do."""

    description = "in this process"

    def __init__(self) -> None:
        self._before = dict(os.environ)
        # numba refuses to compile where its number changes after its threads were started, and uses one without being told
        known = {*os.environ, NUMBA}
        os.environ.update({k: v for k, v in ONE_THREAD.items() if k not in known})

    def run(self, work: Work, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        with threads_as_before():
            for job in jobs:
                yield job, work(job)

    def close(self) -> None:
        _restore(self._before)


class Cluster:
    """Works on items on the workers of a Dask scheduler.

    Parameters
    ----------
    scheduler : "local" for processes of this machine, the address of a scheduler, or "slurm", "pbs", "lsf".
    n_workers : processes of this machine, or jobs of the queue.

    Raises
    ------
    BatchError
        If what is needed is not installed, no scheduler answers, or a worker runs another version.
    """

    def __init__(self, scheduler: str, n_workers: int) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise BatchError("More than one worker needs: pip install 'napari-biofm[distributed]'") from error
        given = dict(dask.config.get("distributed.nanny.pre-spawn-environ", {}))
        given.pop(
            TRIM, None
        )  # Dask's value hands memory back after every array: some 700 page faults a small field
        dask.config.set(
            {
                **QUIET,
                "distributed.nanny.pre-spawn-environ": {**given, **ONE_THREAD},
                "logging": {"distributed": "critical", "tornado": "critical"},  # we say what goes wrong ourselves
                "distributed.scheduler.allowed-failures": 2,
                "distributed.worker.memory.terminate": False,
            }
        )  # fmt: skip
        for name in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._before = dict(os.environ)  # a nanny writes the variables of its worker into it
        self._cluster: Any = None
        if scheduler == "local":
            self._cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": ":0"},  # any free port, as runs go beside each other
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
            self.description = f"on {n_workers} processes"
        elif scheduler in QUEUES:
            self._cluster = _queue(scheduler, n_workers)
            self.description = f"on {n_workers} jobs of {scheduler}"
        else:
            self.description = f"on the workers of {scheduler}"
        try:
            where = scheduler if self._cluster is None else self._cluster
            self._client = Client(where, timeout=CONNECT_TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            _restore(self._before)
            raise BatchError(
                f"No Dask scheduler answers at {scheduler}: start one with 'dask scheduler', or leave "
                "--scheduler out."
            ) from error
        try:
            self._check_versions()
        except (OSError, RuntimeError) as error:
            self.close()
            raise BatchError(GONE) from error
        except BaseException:
            self.close()
            raise

    def _check_versions(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=60)
        except TimeoutError as error:
            raise BatchError(
                f"No worker came within 60 s {self.description}; start some, or look at the queue."
            ) from error
        for worker, version in self._client.run(_version, on_error="return").items():
            if isinstance(version, ImportError):
                raise BatchError(
                    f"The worker {worker} cannot import napari-biofm ({version}); install {__version__} there."
                )
            if isinstance(version, str) and version != __version__:  # no text: it died just now
                raise BatchError(
                    f"The worker {worker} runs napari-biofm {version}, this is {__version__}; install one "
                    "version everywhere."
                )

    def run(self, work: Work, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Yield each job with its row as it is done; a worker that dies costs the item another try.

        Raises
        ------
        BatchError
            If the scheduler goes away.
        """
        try:
            yield from self._run(work, jobs)
        except (OSError, TimeoutError, CancelledError, RuntimeError) as error:
            raise BatchError(GONE) from error

    def _run(self, work: Work, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        from distributed import as_completed

        waiting, alone, left = iter(jobs), deque[Job](), len(jobs)
        n_workers = max(1, len(self._client.scheduler_info()["workers"]))
        known: dict[str, list[Job]] = {}
        done = as_completed([], loop=self._client.loop)
        several = 1  # items in a task: as many as take half a second, so that handing out costs little

        def hand_out(n: int) -> None:
            nonlocal left
            for _ in range(n):
                share = max(1, min(several, left // (2 * AHEAD * n_workers)))  # short ones at the end
                if alone:
                    part = [alone.popleft()]
                else:
                    part = list(islice(waiting, share))
                    left -= len(part)
                if not part:
                    return
                key = f"biofm-{uuid.uuid4().hex}"  # Dask keeps what comes before the last part for ever
                future = self._client.submit(_work_on_all, work, part, pure=False, key=key, retries=0)
                known[future.key] = part
                done.add(future)

        hand_out(AHEAD * n_workers)
        for future in done:
            part = known.pop(future.key)
            if future.status == "finished":
                rows = future.result()
                yield from zip(part, rows, strict=True)
                several = items_in_a_task(rows)
            elif future.status == "error" and len(part) > 1:
                alone.extend(part)  # a worker died of one of them: find out of which
            elif future.status == "error":
                error = future.exception()
                yield part[0], _lost(part[0], f"a worker died of it: {type(error).__name__}: {error}")
            else:
                raise BatchError(GONE)
            future.release()
            hand_out(1)

    def close(self) -> None:
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        _restore(self._before)


def items_in_a_task(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many items the next task should hold: half a second of work, on a busy machine some seconds of the clock.

    Parameters
    ----------
    rows : of the items of a task that was done.
    """
    seconds = sum(float(row.get("seconds", TASK)) for row in rows) / len(rows)
    work = sum(float(row.get("cpu_seconds", row.get("seconds", TASK))) for row in rows) / len(rows)
    return max(1, min(MOST, int(TASK / max(work, 1e-3)), int(LONGEST / max(seconds, 1e-3))))


def make_pool(scheduler: str, n_workers: int, n_jobs: int) -> Pool:
    """Return where to work.

    Parameters
    ----------
    scheduler : "local", the address of a scheduler, or the name of a queue.
    n_workers : at most; with one, or one job, "local" is this process.
    n_jobs : to be done.
    """
    if scheduler == "local" and min(n_workers, n_jobs) <= 1:
        return ThisProcess()
    return Cluster(scheduler, min(n_workers, max(n_jobs, 1)) if scheduler == "local" else n_workers)


def _restore(before: dict[str, str]) -> None:
    """Give this process the variables back that it had; others that came since stay."""
    for name in OF_WORKERS:
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def _work_on_all(work: Work, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Work on items one after the other; those that are done since a worker died amid them are not done again."""
    return [finished(job) or work(job) for job in jobs]


def _version() -> str:
    return __version__


def _lost(job: Job, why: str) -> dict[str, Any]:
    return {
        "key": job.item.key, "path": str(job.item.path), "kind": job.item.kind, "state": "failed",
        "error": f"{job.item.path}: {why}", "fingerprint": job.fingerprint, "seconds": 0.0,
    }  # fmt: skip


def _queue(name: str, n_jobs: int) -> Any:
    """Return a cluster whose workers are jobs of a queue; cores, memory and queue come from Dask's own settings."""
    try:
        import dask_jobqueue
    except ImportError as error:
        raise BatchError(f"The queue {name} needs: pip install dask-jobqueue") from error
    try:
        cluster = getattr(dask_jobqueue, QUEUES[name])()
    except (ValueError, TypeError) as error:
        raise BatchError(f"{name}: {error} (set cores and memory in Dask's jobqueue.yaml)") from error
    cluster.scale(jobs=n_jobs)
    return cluster
