"""What the kinds of faults share: processes that are killed, a session and its states, and promises."""

from __future__ import annotations

import os
import signal
import struct
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cli import main as verb
from napari_biofm.engine import make_engine
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.session import Session, journal
from napari_biofm.session.journal_list import find_journals
from napari_biofm.session.recovery import recover
from napari_biofm.session.saving import load_session
from napari_biofm.session.snapshot import SavedLayer, snapshot
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE

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

        def tell(n: int) -> None:
            os.write(write, struct.pack("<i", n))

        work(tell)
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
    alike = [k for k in (n, n + 1) if np.array_equal(np.asarray(labels), state(seed, k))]
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
    labels = np.unique(np.asarray(saved.layers[0].data)).tolist()
    k = len(saved.events["patch"])
    promise(labels == [k] and saved.provenance["patch"] == {"k": k}, f"labels {labels} and {k} events")
    return k


def nothing_beside(folder: Path, *names: str) -> None:
    """Raise where something half-written is left."""
    left = sorted({one.name for one in folder.iterdir()} - set(names))
    promise(not left, f"left behind: {left}")


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


_engine: Any = None


def engine() -> Any:
    """Return one worker engine for all rounds."""
    global _engine
    if _engine is None:
        _engine = make_engine("worker")
    return _engine
