"""Faults of disks, folders and files, and of two processes at once."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from fault_tools import (
    NOBODY,
    BrokenPromiseError,
    box,
    ends_well,
    forked,
    in_a_process,
    nothing_beside,
    nth,
    number_of,
    one_line,
    promise,
    state,
    sweep,
)
from napari_biofm.cli import main as verb
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.tiling.large_images import segment_large
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.session.saving import SessionWriter, load_session
from napari_biofm.types import BiofmError, ImageError, SessionError, run_task


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
            shutil.rmtree(folder / "journals", ignore_errors=True)  # the journal writes on beside it
        if k == at[1]:
            shutil.rmtree(folder / "there", ignore_errors=True)
        written.step()
        writer.save(nth(k))
    promise(np.array_equal(np.asarray(target.data), state(0, 20)), "edits were lost")
    promise(number_of(folder / "there" / "day1") == 20, "the session is not there")
    session.close()


def cache_vanishes(rng: np.random.Generator, folder: Path) -> None:
    """The cache is removed at a random moment of a run."""
    from tests.images.tiling import test_two_runs as large

    large.small_parts()
    model, when = large.Discs(), int(rng.integers(1, 12))
    image = LazyImage(large.picture(), "YX")
    task = segment_large(model, image, large.DEFAULT, store=PassStore(folder / "cache"))
    while model.calls < when:
        next(task)
    for _ in range(int(rng.integers(3))):
        next(task)
    shutil.rmtree(folder / "cache")
    result = run_task(task)
    expected = ndimage.label(large.picture() > 0.5)[0]
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
        expected = ndimage.label(large.picture() > 0.5)[0]
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
        for _turn in range(6):
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

    def named(name: str) -> Callable[[Callable[[int], None]], None]:
        return lambda _: work(name)

    two = [forked(named(name)) for name in "ab"]
    ends_well(*[process for process, _ in two])
    for _, pipe in two:
        os.close(pipe)
    rows = json.loads((folder / "o/report.json").read_text())["images"]
    promise(sorted(row["mask"] for row in rows) == ["a_mask.tif", "b_mask.tif"], f"the report has {rows}")
    masks = [tifffile.imread(folder / f"o/{name}_mask.tif").max() for name in "ab"]
    promise(min(masks) > 0, "empty masks")
    nothing_beside(folder / "o", "a_mask.tif", "b_mask.tif", "report.json")


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
            assert opened is not None
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
