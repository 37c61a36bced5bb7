"""What the verb `doctor` tries beyond versions: a window's graphics, files of weights, the cache, a cluster."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from napari_biofm.types import BiofmError

BINDINGS = ("PyQt6", "PySide6")
SHIPPED = ("image", "physio", "physio-rhythm")  # weights in the package
WAIT_S = 60.0
DRAW = """
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication([])
context, surface = QOpenGLContext(), QOffscreenSurface()
surface.create()
made = context.create() and context.makeCurrent(surface)
print("OpenGL %d.%d" % (context.format().majorVersion(), context.format().minorVersion()) if made else "no OpenGL")
"""


def graphics() -> tuple[str, list[str]]:
    """Return what Qt draws with, and problems; made in a process of its own, which a broken driver may end."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(k) for k in ("DISPLAY", "WAYLAND_DISPLAY")
    ):
        return "not tried: there is no screen", []
    try:
        run = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        return "no answer", [f"Qt did not start within {WAIT_S:.0f} s: try another screen or driver"]
    said = run.stdout.strip().splitlines()
    if run.returncode == 0 and said and said[-1].startswith("OpenGL"):
        return said[-1], []
    why = (run.stderr.strip().splitlines() or said or [f"it ended with {run.returncode}"])[-1]
    return "broken", [
        f"Qt cannot draw ({why}): install Qt's and OpenGL's system libraries, see docs/install.md"
    ]


def model_read() -> tuple[str, list[str]]:
    """Return which of the package's weights were read, and problems."""
    from safetensors import SafetensorError, safe_open

    told = []
    for name in SHIPPED:
        path = Path(__file__).resolve().parents[1] / "weights" / f"{name}.safetensors"
        try:
            with safe_open(str(path), "numpy") as tensors:
                told.append(f"{path.name} ({len(list(tensors.keys()))} tensors)")
        except (OSError, SafetensorError) as error:
            words = f"{path.name} of the package cannot be read ({error}): install napari-biofm again"
            return "broken", [words]
    return ", ".join(told), []


def weights_checked() -> tuple[str, list[str]]:
    """Return which downloaded and imported weights have their published or recorded hash, and problems."""
    from napari_biofm.models import registry, store

    whole, problems = [], []
    for entry in registry.entries():
        path = store.find(entry.name)
        if path is None:
            continue
        try:
            store.check(entry, path)
            whole.append(entry.name)
        except (BiofmError, OSError) as error:
            problems.append(str(error))
    try:
        whole += list(store.imported_models())
    except (BiofmError, OSError) as error:
        problems.append(str(error))
    return ", ".join(whole) or f"none downloaded to {store.models_folder()}", problems


def cluster_answers() -> tuple[str, list[str]]:
    """Return how a cluster of one process, or the scheduler that docks are told to use, answers; and problems."""
    address = os.environ.get("NAPARI_BIOFM_ENGINE", "")
    where = address if "://" in address else "local"
    if importlib.util.find_spec("distributed") is None:
        return "not tried: needs pip install 'napari-biofm[distributed]'", []
    from napari_biofm.batch.pools import Cluster

    began = time.perf_counter()
    try:
        pool = Cluster(where, 1)
    except BiofmError as error:
        return "no answer", [str(error)]
    except (OSError, RuntimeError, TimeoutError) as error:
        return "broken", [f"a worker of Dask cannot be started ({error}): run works with --jobs 1"]
    try:
        return f"{pool.description}, {time.perf_counter() - began:.1f} s to start", []
    finally:
        pool.close()


def cache_written() -> tuple[str, list[str]]:
    """Return the folder of kept passes, and whether it can be written."""
    from napari_biofm.images.tiling.pass_store import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"napari-biofm")
    except OSError as error:
        return str(folder), [
            f"{folder} cannot be written ({error}): set NAPARI_BIOFM_CACHE to a folder that can"
        ]
    return str(folder), []


def bindings_trouble(found: list[str], has_qt5: bool) -> list[str]:
    """Return what is wrong with the Qt bindings that were found."""
    if found:
        return []
    if has_qt5:
        return ["PyQt5 is too old for the docks, which need Qt 6: pip uninstall PyQt5, pip install PyQt6"]
    return ["no Qt binding: pip install 'napari-biofm[all]' (or PyQt6)"]
