"""The kinds of faults that `faults.py` injects; each raises where the program breaks a promise."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from fault_disks import (
    cache_vanishes,
    disk_full,
    file_changes,
    file_cut,
    folder_vanishes,
    not_allowed,
    one_cache,
    one_folder,
    one_session,
    other_formats,
)
from fault_tools import (
    WAIT_S,
    BrokenPromiseError,
    box,
    check_recovered,
    edit_on,
    engine,
    killed,
    nothing_beside,
    nth,
    number_of,
    promise,
)
from fault_windows import layer_removed, viewer_closed
from napari_biofm.engine import probe
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.session.journal_list import find_journals
from napari_biofm.session.saving import SessionWriter
from napari_biofm.types import BiofmError, EngineError, run_task

Kind = Callable[[np.random.Generator, Path], None]


# ------------------------------------------------------------------ kills
def editing_killed(rng: np.random.Generator, folder: Path) -> None:
    """A process is killed while somebody edits."""
    seed = int(rng.integers(1 << 30))
    n = killed(lambda say: edit_on(seed, folder, say, autosaving=False), rng.uniform(0, 0.25))
    check_recovered(folder, seed, n)


def autosaving_killed(rng: np.random.Generator, folder: Path) -> None:
    """A process is killed while a snapshot is written beside the log of edits."""
    seed = int(rng.integers(1 << 30))
    n = killed(lambda say: edit_on(seed, folder, say, autosaving=True), rng.uniform(0, 0.4))
    check_recovered(folder, seed, n)


def saving_killed(rng: np.random.Generator, folder: Path) -> None:
    """A process is killed while it saves a session again and again."""

    def save_on(say: Callable[[int], None]) -> None:
        writer = SessionWriter(folder / "day1")
        for k in range(1, 10_000):
            writer.save(nth(k))
            say(k)

    n = killed(save_on, rng.uniform(0, 0.5))
    found = number_of(folder / "day1")
    promise(found in (n, n + 1), f"state {found} after {n} was saved")
    SessionWriter(folder / "day1").save(nth(n))
    promise(number_of(folder / "day1") == n, "saving again does not work")
    nothing_beside(folder, "day1")


def worker_killed(rng: np.random.Generator, _: Path) -> None:
    """The worker is killed at a random moment: its job ends once, with a message or a result; the next one works."""
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    array = rng.integers(0, 255, (600, 600)).astype(np.uint8)
    ended: list[str] = []
    calls = {"on_done": lambda _: ended.append("done"), "on_error": lambda _: ended.append("error")}
    runs = engine()
    jobs = [runs.submit(probe.count, 4, 0.02, **calls), runs.submit(probe.echo, array, **calls)]
    time.sleep(rng.uniform(0, 0.2))
    if runs.worker_pid is not None:
        os.kill(runs.worker_pid, signal.SIGKILL)
    for job in jobs:
        try:
            result = job.result(WAIT_S)
            promise(job is jobs[0] or np.array_equal(result, array + 1), "a wrong result")
        except EngineError as error:
            promise("killed" in str(error) or "ended" in str(error), f"the message is: {error}")
    again = runs.submit(probe.echo, array).result(WAIT_S)
    promise(np.array_equal(again, array + 1), "the next job gave a wrong result")
    promise(len(ended) == 2, f"two jobs ended {len(ended)} times")
    left = (set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()) - before
    promise(not [one for one in left if "biofm" in one], f"shared memory left: {left}")


# ------------------------------------------------------------------ the rest
def clock_jumps(rng: np.random.Generator, folder: Path) -> None:
    """The clock of the computer jumps by up to a year, to and fro, while somebody edits and saves."""
    from tests.session.test_journal import kept, paint

    true, shift = time.time, [0.0]
    time.time = lambda: true() + shift[0]  # type: ignore[assignment]
    try:
        target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
        session, written, _ = kept(folder / "journals", cells=target)
        writer = SessionWriter(folder / "day1")
        for k in range(1, 15):
            shift[0] = float(rng.choice([-1, 1]) * 10 ** rng.uniform(0, 7.5))
            paint(session, target, box(0, k), k)
            written.step()
            writer.save(nth(k))
        promise(find_journals(folder / "journals")[0].in_use, "the journal in use is taken for abandoned")
        check_recovered(folder / "journals", 0, 14)
        promise(number_of(folder / "day1") == 14, "the session saved last is not there")
        session.close()
    finally:
        time.time = true


def worker_out_of_memory(rng: np.random.Generator, _: Path) -> None:
    """The worker runs out of memory: the job says so, and the next one works."""
    runs = engine()
    runs.submit(probe.echo, np.zeros(4)).result(WAIT_S)
    limit = (1 << 30) + int(rng.integers(1 << 31))
    free = resource.prlimit(runs.worker_pid, resource.RLIMIT_AS)
    resource.prlimit(runs.worker_pid, resource.RLIMIT_AS, (limit, free[1]))
    try:
        runs.submit(np.ones, int(10 ** rng.uniform(10, 13))).result(WAIT_S)
        raise BrokenPromiseError("more memory than there is was given")
    except MemoryError:
        pass
    except EngineError as error:
        promise("memory" in str(error) or "ended" in str(error), str(error))
    resource.prlimit(runs.worker_pid, resource.RLIMIT_AS, free) if runs.worker_pid else None
    promise(runs.submit(probe.echo, np.zeros(4)).result(WAIT_S).tolist() == [1] * 4, "the next job fails")


WEIGHTS = bytes(range(256)) * 8_000  # 2 MB


class _Server(BaseHTTPRequestHandler):
    cuts: list[int] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = WEIGHTS[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: type(self).cuts.pop() if type(self).cuts else None])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(cuts: list[int]) -> Iterator[str]:
    """Serve weights; the connection ends after so many bytes, the last number first."""
    _Server.cuts = cuts
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/weights"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def network_cut(rng: np.random.Generator, folder: Path) -> None:
    """The connection ends several times in a download: no model until it is whole, and it goes on where it was."""
    from napari_biofm.models import downloads, registry

    cuts = [int(n) for n in rng.integers(0, len(WEIGHTS) // 4, 3)]
    former = registry.REGISTRY
    with served(list(cuts)) as url:
        entry = registry.ModelEntry(
            name="tiny", family="sam", title="a test", urls=(url,), file_name="tiny.pth",
            sha256=hashlib.sha256(WEIGHTS).hexdigest(), size=len(WEIGHTS), licence="MIT", licence_note="free",
            memory=1, requires=("numpy",),
        )  # fmt: skip
        registry.REGISTRY = (entry,)
        try:
            for _ in cuts:
                try:
                    run_task(downloads.download("tiny", folder))
                    raise BrokenPromiseError("half a file was taken for a model")
                except BiofmError as error:
                    promise("\n" not in str(error), str(error))
                promise(not list(folder.rglob("tiny.pth")), "half a file lies under the model's name")
            path = run_task(downloads.download("tiny", folder))
        finally:
            registry.REGISTRY = former
    promise(Path(path).read_bytes() == WEIGHTS, "the file is not the one that was served")


KINDS: Mapping[str, Kind] = {
    "worker-killed": worker_killed,
    "editing-killed": editing_killed,
    "saving-killed": saving_killed,
    "autosaving-killed": autosaving_killed,
    "disk-full": disk_full,
    "file-cut": file_cut,
    "not-allowed": not_allowed,
    "folder-vanishes": folder_vanishes,
    "cache-vanishes": cache_vanishes,
    "one-cache": one_cache,
    "one-session": one_session,
    "one-folder": one_folder,
    "clock-jumps": clock_jumps,
    "worker-out-of-memory": worker_out_of_memory,
    "network-cut": network_cut,
    "file-changes": file_changes,
    "other-formats": other_formats,
    "layer-removed": layer_removed,
    "viewer-closed": viewer_closed,
}
KILLS = ("worker-killed", "editing-killed", "saving-killed", "autosaving-killed")
MANY = (*KILLS, "network-cut", "file-changes", "other-formats")  # 100 rounds
WINDOWS = ("layer-removed", "viewer-closed")
