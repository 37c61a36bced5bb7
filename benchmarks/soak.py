"""Hard use for a long time: nothing is lost, nothing grows, nothing is left behind.

    python benchmarks/soak.py [--minutes 30] [--cycles 500] [--images 300] [--kills 20] [--seed 0] [--json]
    python benchmarks/soak.py --only walk|docks|batch|ends

walk    a random walk of a user over all docks of a real viewer with the worker engine and the autosave. After each
        action masks, classes, events, links, clocks and channels are compared with a copy to which the log is replayed;
        every 250 actions the table with a fresh measurement, a saved session with this one, and all is undone, done
        again and undone. (The brush overlay of napari is left out: on software OpenGL it can end the process by itself.)
docks   each dock opened and closed by its cross, and an empty dock beside them: what napari itself keeps.
batch   one `napari-biofm run` over many images, its processes watched from outside.
ends    windows that are closed, told to end and killed in mid-job, and killed workers: no process and no shared memory
        may be left.

Memory, threads, handles, widgets, shared memory and processes are measured and printed per 100 cycles. Exit code 1 where
something was wrong or grows.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from growth import MARK, SHARED, Growth, family, segments_of
from screen import ensure_screen

PART = 250  # actions between the slow comparisons
DOCKS = ("Segment cells", "Point and click", "Cell states", "Traces and events", "Timeline", "Conditions")
EMPTY = "an empty dock of napari"
LEFT_S = 15.0  # by then everything that was started has ended
ENDS = ("closed", "SIGTERM", "SIGKILL", "worker killed")
RECIPE = """[input]
images = ["images"]
[output]
thumbnails = 0
[[step]]
do = "segment"
[[step]]
do = "measure"
"""


def main() -> int:
    """Run the parts that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30, help="of the walk (default 30)")
    parser.add_argument("--cycles", type=int, default=500, help="times each dock is opened (default 500)")
    parser.add_argument("--images", type=int, default=300, help="in one batch (default 300)")
    parser.add_argument(
        "--kills", type=int, default=20, help="windows that are ended in mid-job (default 20)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("walk", "docks", "batch", "ends"), help="one part")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--window", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    ensure_screen()
    if args.window:
        window(Path(args.window))
        return 0
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ.update(
            {
                "NAPARI_BIOFM_ENGINE": "worker",
                "NAPARI_BIOFM_AUTOSAVE": str(folder / "autosave"),
                "NAPARI_BIOFM_CACHE": str(folder / "passes"),
                MARK: uuid.uuid4().hex,
            }
        )
        if args.only in (None, "ends"):
            told["ends"] = ends(folder, args.kills, args.seed)
        if args.only in (None, "batch"):
            told["batch"] = batch(folder, args.images)
        if args.only in (None, "walk"):
            told["walk"] = walk(folder, args.minutes, args.seed)
        if args.only in (None, "docks"):
            told["docks"] = docks(args.cycles)
    wrong = list(problems(told))
    for line in wrong:
        print(line)
    if args.json:
        print(json.dumps({**told, "problems": wrong}))
    return 1 if wrong else 0


def problems(told: dict[str, Any]) -> list[str]:
    """Return what was wrong, in words."""
    out = []
    if "ends" in told:
        out += [f"ends: {n} {what}" for what, n in told["ends"].items() if what.startswith("left") and n]
    for part in ("walk", "batch"):
        out += [f"{part}: {key} grows" for key in told.get(part, {}).get("grows", ())]
    out += [f"walk: {fault}" for fault in told.get("walk", {}).get("faults", ())]
    for name, one in told.get("docks", {}).items():
        out += [f"{name}: {key} grows" for key in one["grows"] if name != EMPTY]
    return out


# ------------------------------------------------------------------ the walk
def walk(folder: Path, minutes: float, seed: int, steps: int | None = None) -> dict[str, Any]:
    """Walk for some minutes, or some steps."""
    import napari

    from soak_walk import UserWalk

    raised = watch_for_errors()
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1500, 1000)
    one = UserWalk(viewer, seed, folder)
    one.idle()
    growth, start, told = Growth(f"walk, seed {seed}"), time.monotonic(), 0
    while time.monotonic() - start < 60 * minutes if steps is None else one.outcome.edits < steps:
        one.step()
        n = one.outcome.edits
        if n % PART == 0:
            one.part_ends()
        if n % 50 == 0:
            one.idle()
            forget_notifications()
            growth.take(n, n % 100 == 0)
        for fault in one.faults[told:]:
            print(f"        {fault}", flush=True)
        told = len(one.faults)
    one.part_ends()
    out = growth.report()
    close_window(viewer)
    seconds = time.monotonic() - start
    print(
        f"{one.outcome.edits} actions in {seconds:.0f} s: "
        + ", ".join(f"{n} {k}" for k, n in one.outcome.kinds.most_common())
    )
    left = wait_for_the_end(set())
    faults = [*one.faults, *sorted(set(raised)), *([f"processes left: {left[0]}"] if left[0] else [])]
    print(f"faults: {len(faults)}", flush=True)
    return {**out, "actions": one.outcome.edits, "seconds": round(seconds), "faults": faults}


def close_window(viewer: Any) -> None:
    """Close a viewer and let Qt delete its window, as at the end of napari's own loop."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    from napari_biofm.widgets.common.viewers import viewer_session

    session = viewer_session(viewer)
    viewer.close()
    for _ in range(5):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    session.close()


def watch_for_errors() -> list[str]:
    """Return a list that fills with every exception that nobody caught, and every one that napari shows."""
    from napari.utils.notifications import notification_manager

    from napari_biofm.types import BiofmError

    raised: list[str] = []

    def shown(notification: Any) -> None:
        error = getattr(notification, "exception", None)
        if error is not None and not isinstance(error, BiofmError):
            raised.append(f"raised: {type(error).__name__}: {error}")

    notification_manager.notification_ready.connect(shown)

    def keep(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        raised.append(f"raised: {kind.__name__}: {error}")
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = keep
    return raised


def forget_notifications() -> None:
    """Close what napari told, as a person does, and empty its list, which is kept for good.

    A notification goes by itself only in a window that is active, which none is on a virtual screen.
    """
    from napari._qt.dialogs.qt_notification import NapariQtNotification
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    for one in list(NapariQtNotification._instances):
        one.close_button.click()


# ------------------------------------------------------------------ docks
def docks(cycles: int, names: tuple[str, ...] = (EMPTY, *DOCKS)) -> dict[str, Any]:
    """Open and close each dock some hundred times, each in a window of its own process."""
    out = {}
    for name in names:
        command = [sys.executable, "-W", "ignore", "-c", CHILD, str(Path(__file__).parent), name, str(cycles)]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        lines = run.stdout.strip().splitlines()
        print("\n".join(lines[:-1]), flush=True)
        try:
            out[name] = json.loads(lines[-1])
        except (IndexError, ValueError):
            out[name] = {
                "cycles": 0,
                "grows": [f"the window ended with {run.returncode}: everything"],
                "slopes": {},
            }
    return out


CHILD = (
    "import sys, json; sys.path.insert(0, sys.argv[1]); import soak; "
    "print(json.dumps(soak.open_and_close(sys.argv[2], int(sys.argv[3]))))"
)


def open_and_close(name: str, cycles: int) -> dict[str, Any]:
    """Open and close one dock in a viewer with an image, masks and a recording."""
    import napari
    from qtpy.QtWidgets import QApplication, QLabel

    from napari_biofm.signals import Recording
    from napari_biofm.widgets.common.viewers import viewer_session
    from soak_walk import close_dock

    viewer: Any = napari.Viewer(show=True)
    rng = np.random.default_rng(0)
    viewer.add_image(rng.normal(100, 10, (20, 64, 64)).astype(np.float32), name="movie")
    viewer.add_labels(np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)), name="cells")
    session = viewer_session(viewer)
    session.add_recording(
        Recording.from_arrays(rng.normal(0, 1, (1, 1, 5000)).astype("f4"), 1000.0, "mV"), "patch"
    )
    growth = Growth(f"opened and closed: {name}")
    for cycle in range(1, cycles + 1):
        if name == EMPTY:
            frame = viewer.window.add_dock_widget(QLabel("nothing"), name=name)
        else:
            frame, widget = viewer.window.add_plugin_dock_widget("napari-biofm", name)
            while not getattr(widget, "is_open", True):
                QApplication.processEvents()
            getattr(widget, "content", widget)
            del widget
        for _ in range(3):
            QApplication.processEvents()
        close_dock(frame)
        del frame
        if cycle % 20 == 0:
            forget_notifications()
            growth.take(cycle, cycle % 100 == 0)
    out = growth.report()
    close_window(viewer)
    return out


# ------------------------------------------------------------------ one batch
def batch(folder: Path, images: int) -> dict[str, Any]:
    """Run one recipe over many images, and watch its processes."""
    import psutil
    import tifffile

    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    for i in range(images):
        image = rng.poisson(30, (128, 128)).astype(np.uint16)
        for cy, cx in rng.uniform(12, 116, (12, 2)):
            image[np.hypot(y - cy, x - cx) < 8] += 200
        tifffile.imwrite(folder / "images" / f"f{i:04d}.tif", image)
    (folder / "recipe.toml").write_text(RECIPE)
    done = folder / "out" / "items"
    with (folder / "run.log").open("wb") as log:
        command = ["-m", "napari_biofm.cli", "run", str(folder / "recipe.toml"), "--out", str(folder / "out")]
        run = psutil.Popen([sys.executable, *command], stdout=log, stderr=log)
    growth = Growth(f"one batch of {images} images (cycle: images done)", lambda: watched(run))
    last = 0
    while run.poll() is None:
        n = len(list(done.glob("[!.]*"))) if done.is_dir() else 0
        if n >= last + 10:
            last = n
            with suppress(psutil.Error, IndexError):
                growth.take(n, n // 100 > (growth.at[-2] if len(growth.at) > 1 else 0) // 100)
        time.sleep(0.05)
    n = len(list(done.glob("[!.]*"))) if done.is_dir() else 0
    out = growth.report() if growth.rows else {"grows": ["nothing was measured: everything"]}
    print(f"{n} of {images} images, exit code {run.returncode}", flush=True)
    left = wait_for_the_end(set())[0]
    if run.returncode or n != images or left:
        out["grows"] = [
            *out["grows"],
            f"exit code {run.returncode}, {n} of {images} done, {left} processes left: everything",
        ]
    return {**out, "images": n}


def watched(process: Any) -> dict[str, float]:
    """Return what another process and its children hold."""
    children = process.children(recursive=True)
    every = [process, *children]
    return {
        "memory_mb": process.memory_info().rss / 1e6,
        "workers_mb": sum(child.memory_info().rss for child in children) / 1e6,
        "threads": sum(one.num_threads() for one in every),
        "handles": sum(one.num_fds() for one in every),
        "widgets": 0,
        "segments": len(segments_of(every)),
        "processes": len(children),
    }


# ------------------------------------------------------------------ ends
def ends(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """End windows in mid-job, in turn by each way there is, and look for what is left."""
    dice = np.random.default_rng(seed)
    out = {"ends": 0, "left processes": 0, "left segments": 0}
    print(f"\n{'end':15}{'after, s':>9}{'held':>6}{'processes left':>16}{'segments left':>15}")
    for n in range(kills):
        how = ENDS[n % len(ENDS)]
        place = folder / f"end-{n}"
        place.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--window", str(place)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()  # the worker is busy
        seen, after = set[str](), float(dice.uniform(0, 1.5))
        end = time.monotonic() + after
        while time.monotonic() < end:
            seen |= segments_of(family(os.environ[MARK]))
        for worker in family(os.environ[MARK]):
            if how == "worker killed" and "napari_biofm.engine.worker" in " ".join(worker.cmdline()):
                worker.kill()
        if how in ("closed", "worker killed"):
            (place / "close").touch()
        else:
            process.send_signal(getattr(signal, how))
        seen |= segments_of(family(os.environ[MARK]))
        process.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        left = wait_for_the_end(seen)
        out["ends"] += 1
        out["left processes"] += left[0]
        out["left segments"] += left[1]
        print(f"{how:15}{after:9.2f}{len(seen):6d}{left[0]:16d}{left[1]:15d}", flush=True)
        for one in family(os.environ[MARK]):
            if one.pid != os.getpid():
                one.kill()
    return out


def wait_for_the_end(seen: set[str]) -> tuple[int, int]:
    """Return how many processes of ours and how many of these segments are left after a while."""
    end = time.monotonic() + LEFT_S
    while True:
        processes = sum(one.pid != os.getpid() and "xvfb" not in one.name().lower() for one in helpers())
        segments = sum((SHARED / name).exists() for name in seen)
        if not (processes or segments) or time.monotonic() > end:
            return processes, segments
        time.sleep(0.1)


def helpers() -> list[Any]:
    """Return processes with our mark that are no part of this one."""
    import psutil

    out = []
    for one in family(os.environ[MARK]):
        with suppress(psutil.Error):
            if (one.pid != os.getpid() and "resource_tracker" not in " ".join(one.cmdline())) or (
                "resource_tracker" in " ".join(one.cmdline()) and one.ppid() != os.getpid()
            ):
                out.append(one)
    return out


def window(place: Path) -> None:
    """Open a window that keeps its workers busy with large arrays until somebody ends it."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.engine import probe
    from napari_biofm.widgets.common.viewers import viewer_session

    viewer: Any = napari.Viewer(show=True)
    viewer.add_labels(np.zeros((64, 64), np.int32))
    engine = viewer_session(viewer).engine
    array = np.ones((2048, 2048), np.float32)
    engine.submit(probe.echo, array).result(60)
    print("busy", flush=True)
    asked: list[Any] = []
    with suppress(Exception):  # a killed worker is one of the ends
        while not (place / "close").exists():
            asked = [job for job in asked if not job.state.is_final]
            if len(asked) < 3:
                lane: Callable[..., Any] = engine.submit
                asked.append(lane(probe.echo, array, on_error=lambda _: None))
            QApplication.processEvents()
            time.sleep(0.002)
    viewer.close()


if __name__ == "__main__":
    sys.exit(main())
