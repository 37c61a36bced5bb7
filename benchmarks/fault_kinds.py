"""The kinds of faults that `faults.py` injects; each raises where the program breaks a promise."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cli import main as verb
from napari_biofm.engine import make_engine, probe
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.session import Session, journal
from napari_biofm.session.journal_list import find_journals
from napari_biofm.session.recovery import recover
from napari_biofm.session.saving import SessionWriter, load_session
from napari_biofm.session.snapshot import SavedLayer, snapshot
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE, BiofmError, EngineError, ImageError, SessionError, run_task

Kind = Callable[[np.random.Generator, Path], None]
NOBODY = 65534
WAIT_S = 60.0


class BrokenPromiseError(Exception):
    """The program did not do what it promises."""


def promise(kept: object, words: str) -> None:
    """Raise unless it was kept."""
    if not kept:
        raise BrokenPromiseError(words)


# ------------------------------------------------------------------ processes
def forked(work: Callable[[Callable[[int], None]], None]) -> tuple[int, int]:
    """Run `work` in a process of its own; return its id and a pipe on which it says numbers."""
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return process, read
    code = 0
    try:
        signal.alarm(int(2 * WAIT_S))  # what hangs is an end, too
        os.close(read)
        work(lambda n: os.write(write, struct.pack("<i", n)) and None)
    except BaseException as error:  # noqa: BLE001 - said by the exit code
        lines = "".join(traceback.format_exception(error)[-6:])
        os.write(2, lines.encode())
        code = 3
    os._exit(code)


def killed(work: Callable[[Callable[[int], None]], None], delay: float) -> int:
    """Kill a process some time after its first word; return the last number it said."""
    process, pipe = forked(work)
    said = os.read(pipe, 4)
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    while part := os.read(pipe, 1 << 16):
        said += part
    os.close(pipe)
    _, status = os.waitpid(process, 0)
    promise(os.WIFSIGNALED(status) and len(said) >= 4, f"the process ended by itself ({status})")
    return int(
        struct.unpack("<i", said[-4:] if len(said) % 4 == 0 else said[len(said) // 4 * 4 - 4 :][:4])[0]
    )


def ends_well(*processes: int) -> None:
    """Wait for processes that have to end with 0."""
    for process in processes:
        _, status = os.waitpid(process, 0)
        promise(status == 0, f"a process ended with {os.waitstatus_to_exitcode(status)}")


def in_a_process(work: Callable[[], None]) -> None:
    """Run something that cannot be undone in a process of its own."""
    process, pipe = forked(lambda _: work())
    ends_well(process)
    os.close(pipe)


# ------------------------------------------------------------------ a session and its states
def box(seed: int, k: int) -> tuple[slice, slice]:
    """Return where edit `k` paints."""
    y, x = np.random.default_rng([seed, k]).integers(0, 80, 2)
    return np.s_[int(y) : int(y) + 12, int(x) : int(x) + 12]


def state(seed: int, n: int) -> np.ndarray:
    """Return the labels after `n` edits."""
    labels = np.zeros((96, 96), np.int32)
    for k in range(1, n + 1):
        labels[box(seed, k)] = k
    return labels


def edit_on(seed: int, root: Path, say: Callable[[int], None], *, autosaving: bool) -> None:
    """Edit until somebody kills this process."""
    from tests.session.test_journal import kept, paint

    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(root, cells=target)
    if autosaving:
        journal.COMPACT_AFTER = 2
    for k in range(1, 100_000):
        paint(session, target, box(seed, k), k)
        say(k)
        if autosaving:
            written.step()


def check_recovered(root: Path, seed: int, n: int) -> None:
    """Raise unless all edits but the last one are there, or all."""
    found = find_journals(root)
    promise(len(found) == 1, f"{len(found)} journals instead of 1")
    got = recover(found[0].folder)
    labels = next((layer.data for layer in got.saved.layers if layer.uid == "cells"), None)
    promise(labels is not None, f"after edit {n} the labels are gone: {got.missing}")
    alike = [k for k in (n, n + 1) if np.array_equal(labels, state(seed, k))]
    promise(alike, f"after edit {n} the labels are neither those of {n} nor of {n + 1}: {got.missing}")


def nth(k: int) -> Any:
    """Return state `k` of a session: labels that are all `k`, and `k` events."""
    session = Session()
    session.add_recording(Recording.from_arrays(np.arange(4000.0), 1000.0, "mV"), "patch")
    events = np.zeros(k, EVENT_DTYPE)
    events["time_s"] = np.arange(k) / 100
    session.set_events("patch", events, {"k": k})
    labels = np.full((64, 64), k, np.int32)
    layer = SavedLayer("cells", "labels", "cells", data=labels, shape=labels.shape)
    return snapshot(session, [replace(layer, version=k) if hasattr(layer, "version") else layer])


def number_of(folder: Path) -> int:
    """Return which state a folder holds; raise where it is none, or two."""
    saved = load_session(folder)
    promise(saved.warnings == (), f"warnings: {saved.warnings}")
    labels = np.unique(saved.layers[0].data).tolist()
    k = len(saved.events["patch"])
    promise(labels == [k] and saved.provenance["patch"] == {"k": k}, f"labels {labels} and {k} events")
    return k


def nothing_beside(folder: Path, *names: str) -> None:
    """Raise where something half-written is left."""
    left = sorted({one.name for one in folder.iterdir()} - set(names))
    promise(not left, f"left behind: {left}")


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


_engine: Any = None


def engine() -> Any:
    """Return one worker engine for all rounds."""
    global _engine
    if _engine is None:
        _engine = make_engine("worker")
    return _engine


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


# ------------------------------------------------------------------ disks
def disk_full(rng: np.random.Generator, folder: Path) -> None:
    """The disk is full at the n-th file, folder or name that a save makes, for every n."""

    def work() -> None:
        writer, left = SessionWriter(folder / "day1"), [-1]
        writer.save(nth(1))

        def hook(event: str, args: tuple[Any, ...]) -> None:
            writes = event in ("os.mkdir", "os.rename", "os.link") or (
                event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if left[0] < 0 or not writes:
                return
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")

        sys.addaudithook(hook)
        for n in range(int(rng.integers(3)), 80, 3):
            left[0] = n
            try:
                writer.save(nth(2))
            except SessionError as error:
                promise("still there" in str(error) and "\n" not in str(error), f"the message is: {error}")
                left[0] = -1
                promise(number_of(folder / "day1") == 1, "the former session is not there")
            else:
                done = left[0] >= 0  # nothing failed any more
                left[0] = -1
                promise(number_of(folder / "day1") == 2, "the new session is not there")
                SessionWriter(folder / "day1").save(nth(1))
                if done:
                    break
            nothing_beside(folder, "day1")

    in_a_process(work)


def file_cut(rng: np.random.Generator, folder: Path) -> None:
    """No file can become larger than some random size: a save fails whole, a log of edits says what is missing."""

    def work() -> None:
        writer = SessionWriter(folder / "day1")
        writer.save(nth(1))
        size = int(2 ** rng.uniform(0, 14))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            writer.save(nth(2))
            expected = 2
        except SessionError:
            expected = 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        promise(number_of(folder / "day1") == expected, "neither the former nor the new session is whole")
        nothing_beside(folder, "day1")

    in_a_process(work)


def sweep(path: Path) -> Path:
    """Write a short recording with currents."""
    trace = np.random.default_rng(0).normal(0, 1, 8000)
    for at in range(1000, 7000, 1500):
        trace[at : at + 300] -= 40 * np.exp(-np.arange(300) / 40)
    np.savez(path, signal=trace, sampling_rate=10_000.0, unit="pA")
    return path


def one_line(*words: Any) -> str:
    """Run a verb that has to fail; return its line."""
    said = StringIO()
    with redirect_stderr(said):
        code = verb([str(word) for word in words])
    lines = said.getvalue().strip().splitlines()
    promise(code == 1 and len(lines) == 1, f"exit code {code}, {lines}")
    return lines[0]


def _import_all(folder: Path) -> None:
    """Do everything once, so that another user of the system need not read the installation."""
    from tests.images.tiling.test_two_runs import run

    SessionWriter(folder / "first").save(nth(1))
    number_of(folder / "first")
    with redirect_stderr(StringIO()):
        verb(
            [
                "events",
                str(folder / "a.npz"),
                "--kind",
                "psc",
                "--detector",
                "threshold",
                "--out",
                str(folder / "a.csv"),
            ]
        )
    run(folder / "passes")


def not_allowed(rng: np.random.Generator, folder: Path) -> None:
    """Folders are read-only, or lose their permission between two saves: one line, and what was there is whole."""
    sweep(folder / "a.npz")
    folder.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, NOBODY, NOBODY)

    def work() -> None:
        if os.getuid() == 0:
            os.setuid(NOBODY)
        writer = SessionWriter(home / "day1")
        writer.save(nth(1))
        victim, mode = ((home, 0o555), (home / "day1", 0o000), (home / "day1", 0o555))[rng.integers(3)]
        before = victim.stat().st_mode & 0o777
        os.chmod(victim, mode)
        try:
            writer.save(nth(2))
            expected = 2
        except SessionError as error:
            promise("\n" not in str(error), f"several lines: {error}")
            expected = 1
        line = ""
        if victim == home:
            line = one_line(
                "events",
                folder / "a.npz",
                "--kind",
                "psc",
                "--detector",
                "threshold",
                "--out",
                home / "a.csv",
            )
            promise("ermission" in line, line)
            os.environ["NAPARI_BIOFM_CACHE"] = str(home / "cache")
            from tests.images.tiling.test_two_runs import run

            try:
                run(home / "cache")
                raise BrokenPromiseError("a cache that cannot be written was not told")
            except ImageError as error:
                promise("NAPARI_BIOFM_CACHE" in str(error), str(error))
        if victim.exists() and expected == 1:
            os.chmod(victim, before)
        promise(number_of(home / "day1") == expected, "neither the former nor the new session is whole")

    _import_all(folder)
    in_a_process(work)


def folder_vanishes(rng: np.random.Generator, folder: Path) -> None:
    """The folders of the session and of the journal vanish while somebody edits and saves."""
    from tests.session.test_journal import kept, paint

    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(folder / "journals", cells=target)
    writer = SessionWriter(folder / "there" / "day1")
    at = rng.integers(1, 20, 2)
    for k in range(1, 21):
        paint(session, target, box(0, k), k)
        if k == at[0]:
            shutil.rmtree(folder / "journals")
        if k == at[1]:
            shutil.rmtree(folder / "there", ignore_errors=True)
        written.step()
        writer.save(nth(k))
    promise(np.array_equal(target.data, state(0, 20)), "edits were lost")
    promise(number_of(folder / "there" / "day1") == 20, "the session is not there")
    session.close()


def cache_vanishes(rng: np.random.Generator, folder: Path) -> None:
    """The cache is removed at a random moment of a run."""
    from tests.images.tiling import test_two_runs as large

    large.small_parts()
    model, when = large.Discs(), int(rng.integers(1, 12))
    image = large.LazyImage(large.picture(), "YX")
    task = large.segment_large(model, image, large.DEFAULT, store=large.PassStore(folder / "cache"))
    while model.calls < when:
        next(task)
    for _ in range(int(rng.integers(3))):
        next(task)
    shutil.rmtree(folder / "cache")
    result = run_task(task)
    expected = large.ndimage.label(large.picture() > 0.5)[0]
    promise(large.same_objects(result.labels(), expected), "wrong masks")
    promise(result.objects == expected.max(), f"{result.objects} objects are told")


# ------------------------------------------------------------------ two at once
def one_cache(rng: np.random.Generator, folder: Path) -> None:
    """Two processes work on one large image; one of them is killed in half of the rounds."""
    from tests.images.tiling import test_two_runs as large

    large.small_parts()

    def work(say: Callable[[int], None]) -> None:
        say(1)
        result = large.run(folder, large.Discs(0.01))
        expected = large.ndimage.label(large.picture() > 0.5)[0]
        promise(large.same_objects(result.labels(), expected), "wrong masks")
        promise(result.objects == expected.max(), f"{result.objects} objects are told")

    two = [forked(work) for _ in range(2)]
    victim = None
    if rng.random() < 0.5:
        time.sleep(rng.uniform(0, 0.2))
        victim = two[0][0]
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    ends_well(*[process for process, _ in two if process != victim])
    work(lambda _: None)
    for _, pipe in two:
        os.close(pipe)


def one_session(rng: np.random.Generator, folder: Path) -> None:
    """Two processes save one session while a third opens it again and again."""
    SessionWriter(folder / "day1").save(nth(1))

    def save(_: Callable[[int], None]) -> None:
        dice = np.random.default_rng([os.getpid(), int(rng.integers(1 << 30))])
        writer = SessionWriter(folder / "day1")
        for k in dice.integers(1, 30, 6):
            writer.save(nth(int(k)))
            time.sleep(dice.uniform(0, 0.01))

    def read(_: Callable[[int], None]) -> None:
        for _ in range(6):
            number_of(folder / "day1")

    three = [forked(work) for work in (save, save, read)]
    ends_well(*[process for process, _ in three])
    for _, pipe in three:
        os.close(pipe)
    number_of(folder / "day1")
    nothing_beside(folder, "day1")


def one_folder(rng: np.random.Generator, folder: Path) -> None:
    """Two processes write their masks and reports into one folder."""
    import tifffile
    from tests.images.tiling.test_two_runs import picture

    for name in "ab":
        tifffile.imwrite(folder / f"{name}.tif", (picture()[:120, :130] * 200).astype(np.uint8))

    def work(name: str) -> None:
        time.sleep(rng.uniform(0, 0.05))
        with redirect_stderr(StringIO()):
            code = verb(
                ["segment", str(folder / f"{name}.tif"), "--model", "classical", "--out", str(folder / "o")]
            )
        promise(code == 0, f"exit code {code}")

    two = [forked(lambda _, name=name: work(name)) for name in "ab"]
    ends_well(*[process for process, _ in two])
    for _, pipe in two:
        os.close(pipe)
    rows = json.loads((folder / "o/report.json").read_text())["images"]
    promise(sorted(row["mask"] for row in rows) == ["a_mask.tif", "b_mask.tif"], f"the report has {rows}")
    masks = [tifffile.imread(folder / f"o/{name}_mask.tif").max() for name in "ab"]
    promise(min(masks) > 0, "empty masks")
    nothing_beside(folder / "o", "a_mask.tif", "b_mask.tif", "report.json")


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
    from napari_biofm.models import registry, store

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
                    run_task(store.download("tiny", folder))
                    raise BrokenPromiseError("half a file was taken for a model")
                except BiofmError as error:
                    promise("\n" not in str(error), str(error))
                promise(not list(folder.rglob("tiny.pth")), "half a file lies under the model's name")
            path = run_task(store.download("tiny", folder))
        finally:
            registry.REGISTRY = former
    promise(Path(path).read_bytes() == WEIGHTS, "the file is not the one that was served")


def file_changes(rng: np.random.Generator, folder: Path) -> None:
    """A file is cut, emptied, replaced or removed while it is open: values, or one line of ours; never a crash."""
    import fuzz

    names = (
        "abf",
        "heka",
        "wfdb",
        "nwb",
        "hdf5",
        "caiman",
        "npz",
        "csv",
        "tiff",
        "tiff-deflate",
        "npy",
        "zarr",
    )
    name = names[rng.integers(len(names))]
    make, _ = fuzz.KINDS[name]
    path = make(folder)

    def harm() -> None:
        files = [p for p in sorted(path.rglob("*")) if p.is_file()] if path.is_dir() else [path]
        victim = files[rng.integers(len(files))]
        content, how = victim.read_bytes(), rng.integers(4)
        if how == 0:
            os.truncate(victim, int(rng.integers(len(content))) if content else 0)
        elif how == 1:
            os.truncate(victim, 0)
        elif how == 2:
            victim.write_bytes(fuzz.damaged(content, rng))
        else:
            shutil.rmtree(path) if path.is_dir() else victim.unlink()

    def work() -> None:
        if name in ("tiff", "tiff-deflate", "npy", "zarr"):
            from napari_biofm.images.io.lazy import open_lazily

            opened = open_lazily(path)
            harm()
            read: Callable[[], Any] = lambda: np.asarray(opened[:]).sum()  # noqa: E731
        else:
            import napari_biofm as biofm

            recording = biofm.read_recording(path)
            harm()
            read = lambda: recording.values(0, 0, 0, 100).sum()  # noqa: E731
        try:
            read()
        except (BiofmError, FileNotFoundError) as error:
            promise("\n" not in str(error), f"several lines: {error}")

    try:
        in_a_process(work)
    except BrokenPromiseError as error:
        raise BrokenPromiseError(f"{name}: {error}") from error


def other_formats(rng: np.random.Generator, folder: Path) -> None:
    """The index of a session is of another version, or holds what it should not: it opens, or says why not."""
    writer = SessionWriter(folder / "day1")
    writer.save(nth(3))
    index = folder / "day1/session.json"
    content = json.loads(index.read_text())
    values: tuple[Any, ...] = (
        None, -1, 0, 1, 3, 99, 1.5, True, "2", "", [], {}, [None], {"a": []}, float("nan"), float("inf"), 10**30, "x" * 5000,
    )  # fmt: skip
    keys = [*content, "unknown", "format_version", "format_version"]
    for _ in range(int(rng.integers(1, 3))):
        content[keys[rng.integers(len(keys))]] = values[rng.integers(len(values))]
    part = content.get("layers") if rng.random() < 0.5 else content.get("recordings")
    if isinstance(part, list) and part and isinstance(part[0], dict) and rng.random() < 0.7:
        inside = list(part[0])
        part[0][inside[rng.integers(len(inside))]] = values[rng.integers(len(values))]
    index.write_text(json.dumps(content))
    try:
        load_session(folder / "day1")
    except BiofmError as error:
        promise("\n" not in str(error), f"several lines: {error}")


# ------------------------------------------------------------------ windows
@contextmanager
def window() -> Iterator[tuple[Any, Any, Callable[[Callable[[], bool]], None]]]:
    """Give a viewer with a dock whose worker counts, and what lets the window live until something holds."""
    import napari
    from qtpy.QtTest import QTest
    from tests.widgets.test_base import PlainDock

    from napari_biofm.widgets.common.viewers import QtPost

    viewer = napari.Viewer()
    dock = PlainDock(viewer)
    viewer.window.add_dock_widget(dock, name="plain")
    dock.session.use_engine(make_engine("worker", post=QtPost()))

    def until(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not holds():
            promise(time.monotonic() < end, "the window waits for ever")
            QTest.qWait(5)

    try:
        yield viewer, dock, until
    finally:
        if not dock.session.is_closed:
            viewer.close()


def layer_removed(rng: np.random.Generator, _: Path) -> None:
    """The layer of a job is removed in its middle: the job ends, nothing arrives, the next one works."""
    from qtpy.QtTest import QTest

    from napari_biofm.widgets.common.viewers import layer_id

    with window() as (viewer, dock, until):
        layer = viewer.add_image(np.zeros((8, 8)))
        done: list[Any] = []
        ended: list[str] = []
        started: list[Any] = []
        dock.run(
            probe.count, 500, 0.01, name="count", bound_to=layer_id(layer), on_done=done.append,
            on_step=started.append, on_end=lambda: ended.append("end"),
        )  # fmt: skip
        if rng.random() < 0.7:
            until(lambda: bool(started))
        QTest.qWait(int(rng.integers(0, 200)))
        viewer.layers.remove(layer)
        until(lambda: bool(ended))
        promise(not done, "a result arrived for a layer that is gone")
        dock.run(probe.count, 1, 0.0, name="again", on_done=done.append)
        until(lambda: bool(done))


def viewer_closed(rng: np.random.Generator, _: Path) -> None:
    """The window is closed in the middle of a job: the session ends, and the worker with it."""
    from qtpy.QtTest import QTest

    with window() as (viewer, dock, until):
        runs = dock.session.engine
        started: list[Any] = []
        dock.run(probe.count, 5000, 0.01, name="count", on_step=started.append)
        until(lambda: bool(started))
        QTest.qWait(int(rng.integers(0, 200)))
        worker = runs.worker_pid
        viewer.close()
        until(lambda: bool(dock.session.is_closed))
        until(lambda: not os.path.exists(f"/proc/{worker}"))


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
WINDOWS = ("layer-removed", "viewer-closed")
