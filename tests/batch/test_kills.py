"""A run on two `dask worker` processes gives the tables of one process, also when a worker or the scheduler is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.batch.test_run import assert_equal, project

from napari_biofm.batch.manifest import Manifest
from napari_biofm.batch.pools import GONE
from napari_biofm.batch.run import run_recipe
from napari_biofm.types import BatchError

pytest.importorskip("distributed")
__all__ = ["project"]


class Cluster:
    """A `dask scheduler` and two `dask worker` processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.log = (folder / "dask.log").open("ab")
        self.folder = folder
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--scheduler-file", str(folder / "scheduler.json")
        )
        self.workers = [
            self._start("worker", "--nthreads", "1", "--no-nanny", *self._file()) for _ in range(2)
        ]

    def _file(self) -> tuple[str, str]:
        return "--scheduler-file", str(self.folder / "scheduler.json")

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *words]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log)

    @property
    def address(self) -> str:
        """Wait for the scheduler and return where it listens."""
        import json
        import time

        path = self.folder / "scheduler.json"
        for _ in range(600):
            if path.is_file() and path.stat().st_size:
                return str(json.loads(path.read_text(encoding="utf-8"))["address"])
            time.sleep(0.05)
        raise AssertionError((self.folder / "dask.log").read_text(encoding="utf-8"))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self.workers, self.scheduler):
            one.kill()
            one.wait()
        self.log.close()


def test_a_killed_worker_and_a_killed_scheduler_leave_the_tables_as_they_are(project: Path) -> None:
    alone, out = project / "alone", project / "out"
    run_recipe(project / "recipe.toml", alone)
    (project / "first").mkdir()
    with Cluster(project / "first") as cluster, pytest.raises(BatchError) as error:
        run_recipe(
            project / "recipe.toml", out, scheduler=cluster.address,
            listener=lambda done, *_: cluster.scheduler.kill() if done == 1 else None,
        )  # fmt: skip
    assert str(error.value) == GONE
    (project / "second").mkdir()
    with Cluster(project / "second") as cluster:
        result = run_recipe(
            project / "recipe.toml", out, scheduler=cluster.address, resume=True,
            listener=lambda *_: cluster.workers[0].kill(),
        )  # fmt: skip
    assert len(result.failed) == 2
    assert_equal(alone, out)
    assert len(Manifest(out).rows()) == 10
    assert not list((out / "items").glob(".*"))
