"""Work on one item: run its steps, write its results as one folder that is whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_biofm.batch.disk import STOPPING, disk_words
from napari_biofm.batch.jobs import Bench, Job
from napari_biofm.batch.steps import RUN, open_item
from napari_biofm.batch.writing import write_results
from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.files import plain_json, write_json
from napari_biofm.types import BiofmError

DONE = "done.json"
NETWORKS = ("segment", "embed", "classify", "features")  # steps that may use one


def work_on(job: Job) -> dict[str, Any]:
    """Run an item's steps and return its row of the manifest; errors become part of the row.

    The results are written beside their place and put there in one move. Where the disk is full, the row says `stop`.
    """
    started, cpu = time.perf_counter(), time.process_time()
    one_thread(job.steps)
    row: dict[str, Any] = {"key": job.item.key, "path": str(job.item.path), "kind": job.item.kind}
    row |= {
        "fingerprint": job.fingerprint,
        "host": platform.node(),
        "process": os.getpid(),
        "state": "done",
        "error": "",
    }
    making = job.results.with_name(f".{job.item.key}-{os.getpid()}")
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        row |= stamp_of(job.item.path)
        row["input_sha256"] = content_hash(job.item.path)
        row |= _steps(job, making)
        row["seconds"] = round(time.perf_counter() - started, 4)
        row["cpu_seconds"] = round(time.process_time() - cpu, 4)
        row["peak_memory_mb"] = _peak_memory_mb()
        write_json(making / DONE, row)
        shutil.rmtree(job.results, ignore_errors=True)
        making.replace(job.results)
    except BiofmError as error:
        row |= {"state": "failed", "error": " ".join(str(error).split())}
    except OSError as error:
        row |= {"state": "failed", "error": f"{error.filename or job.item.path}: {error.strerror or error}"}
        if error.errno in STOPPING:
            row |= {"stop": True, "error": disk_words(error, job.out)}
    except MemoryError:
        row |= {"state": "failed", "error": f"{job.item.path}: not enough memory; run fewer items at a time"}
    except Exception as error:  # noqa: BLE001 -- one item must never end the run
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        row |= {
            "state": "failed",
            "error": f"{job.item.path}: unexpected {type(error).__name__}: {error} ({place})",
        }
    finally:
        shutil.rmtree(making, ignore_errors=True)
    row.setdefault("seconds", round(time.perf_counter() - started, 4))
    return row


def finished(job: Job) -> dict[str, Any] | None:
    """Return the row of an item whose results are there, whole, and of this recipe and file; else None."""
    try:
        row = json.loads((job.results / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(row, dict) or row.get("fingerprint") != job.fingerprint:
        return None
    try:
        now = stamp_of(job.item.path)
    except OSError:
        return row  # the file has gone since; its results are still those of it
    if any(row.get(key) != value for key, value in now.items()):
        return None
    return row


def stamp_of(path: Path) -> dict[str, int]:
    """Return size and time of change of a file, by which a changed one is noticed."""
    about = path.stat()
    return {"input_bytes": about.st_size, "input_mtime_ns": about.st_mtime_ns}


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and sizes in a folder."""
    if path.is_dir():
        digest = hashlib.sha256()
        for one in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{one.relative_to(path).as_posix()} {one.stat().st_size}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Limited:
    """How many modules there were when the numbers of threads were set last: a new one may bring a library."""

    n_modules = 0


_limited = _Limited()


def one_thread(steps: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Have numpy and torch use one thread: items run beside each other, and results do not hang on how many.

    Parameters
    ----------
    steps : that will run; torch is loaded only where one of them uses a network.
    """
    if _limited.n_modules != len(
        sys.modules
    ):  # looking for libraries takes a twentieth of measuring a small field
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
        _limited.n_modules = len(sys.modules)
    if any(name in NETWORKS or p.get("detector") == DEFAULT_DETECTOR for name, p in steps):
        import torch

        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Give numpy and torch the number of threads back that they had before items were worked on in this process."""
    from threadpoolctl import threadpool_limits

    limits = threadpool_limits(limits=None)
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        limits.restore_original_limits()
        _limited.n_modules = 0
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(before or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


def _peak_memory_mb() -> float:
    from napari_biofm.engine.memory import peak_memory_mb

    return round(peak_memory_mb(), 1)


def _steps(job: Job, folder: Path) -> dict[str, Any]:
    """Run the steps and return facts for the manifest."""
    bench = Bench(job, folder)
    open_item(bench)
    for name, parameters in job.steps:
        run: Callable[[Bench, Mapping[str, Any]], None] = RUN[name]
        run(bench, parameters)
    write_results(bench)
    return json.loads(json.dumps(bench.facts, default=plain_json))  # type: ignore[no-any-return]
