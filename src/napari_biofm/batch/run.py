"""Run a recipe: nothing is lost, nothing is done twice, nothing is overwritten without being asked."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_biofm import __version__
from napari_biofm.batch.collect import collect_tables, write_conditions
from napari_biofm.batch.disk import told_of_disk
from napari_biofm.batch.folder_lock import FolderLock
from napari_biofm.batch.items import Item, items_of
from napari_biofm.batch.jobs import CONDITIONS, CORRECTED, ITEMS, OUTPUTS, TABLES, Job
from napari_biofm.batch.lazy import LazySequence
from napari_biofm.batch.manifest import NAME as MANIFEST
from napari_biofm.batch.manifest import Manifest, Rows
from napari_biofm.batch.parameters import IMAGE, RECORDING, TABLE
from napari_biofm.batch.pools import make_pool
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.report import write_report
from napari_biofm.batch.result import BatchResult
from napari_biofm.batch.table_steps import RUN_ON_TABLES
from napari_biofm.batch.work import content_hash, finished, work_on
from napari_biofm.files import write_text
from napari_biofm.types import BatchError, BiofmError

RECIPE = "recipe.toml"
UNDO = "napari-biofm correct RUN --item ITEM --undo"
SPARE = 4  # pictures are made of so many times more images than are shown: some images fail


Listener = Callable[[int, int, dict[str, Any]], None]


def run_recipe(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    scheduler: str = "local",
    jobs: int = 1,
    resume: bool = False,
    force: bool = False,
    limit: int | None = None,
    listener: Listener | None = None,
) -> BatchResult:
    """Run a recipe on all its files.

    Parameters
    ----------
    recipe : its TOML file, or the content of one as dictionaries and lists.
    out : folder of the results; that of the recipe if None.
    scheduler : "local", the address of a Dask scheduler, or "slurm", "pbs", "lsf".
    jobs : worker processes, or jobs of the queue.
    resume : take up a run that was stopped: only what is missing, failed or changed is done.
    force : throw away what is in the folder and begin anew; masks corrected by hand stay (see `correct_masks`).
    limit : work on that many items only, the first by name.
    listener : called with the number of items done, of all, and the row of the last one.

    Returns
    -------
    BatchResult
        Rows, tables and where they are.

    Raises
    ------
    BatchError
        If the recipe cannot be run, the folder holds a former run and neither `resume` nor `force` is given,
        another run works in it, it cannot be written, or the scheduler goes away. Items that fail are no error: see `failed`.
    """
    if isinstance(recipe, Mapping):
        chosen = Recipe.of(recipe, Path.cwd())
    else:
        chosen = recipe if isinstance(recipe, Recipe) else Recipe.read(Path(recipe))
    folder = _folder(chosen, out)
    items = items_of(chosen)[:limit]
    with told_of_disk(folder):
        _prepare(folder, resume=resume, force=force)
        with FolderLock(folder):
            if force:
                _clear(folder)
            _remove_unfinished(folder)
            write_text(folder / RECIPE, chosen.text(anywhere=True))
            return _run(chosen, folder, items, scheduler, jobs, resume, listener)


def planned(recipe: Recipe, limit: int | None = None) -> list[tuple[Item, list[str]]]:
    """Return each item with the names of the steps it would go through.

    Parameters
    ----------
    limit : as for `run_recipe`.
    """
    return [(item, [s.name for s in recipe.steps_for(item.kind)]) for item in items_of(recipe)[:limit]]


def _run(
    recipe: Recipe,
    folder: Path,
    items: LazySequence[Item],
    scheduler: str,
    n_workers: int,
    resume: bool,
    listener: Listener | None,
) -> BatchResult:
    started = time.perf_counter()
    manifest, jobs = Manifest(folder), jobs_of(recipe, items, folder)
    there = bytearray(len(jobs))
    if resume:
        for i, job in enumerate(jobs):
            row = finished(job)
            if row is not None:
                there[i] = True
                manifest.record(row, __version__)
    kept = sum(there)
    missing = jobs.chosen(not one for one in there)
    where = "nothing was left to do"
    if missing:
        pool = make_pool(scheduler, n_workers, len(missing))
        where = pool.description
        try:
            for n_done, (_job, row) in enumerate(pool.run(work_on, missing), kept + 1):
                if row.get("stop"):
                    raise BatchError(row["error"])
                manifest.record(row, __version__)
                if listener is not None:
                    listener(n_done, len(jobs), row)
        finally:
            pool.close()
            _remove_unfinished(folder)
            manifest.flush()
    manifest.keep_only(item.key for item in items)
    return put_together(recipe, folder, items, manifest, kept, where, started)


def put_together(
    recipe: Recipe,
    folder: Path,
    items: LazySequence[Item],
    manifest: Manifest,
    kept: int,
    where: str,
    started: float,
) -> BatchResult:
    """Write the tables and the report of a run from the results of its items.

    Parameters
    ----------
    folder : of the run.
    items : of the run, in order.
    manifest : which has a row of each; items without one are left out.
    kept : number of items that were there before.
    where : on what the others ran.
    started : when, in the seconds of `time.perf_counter`.
    """
    rows = manifest.rows()
    known = items.chosen(row is not None for row in _rows_for(items, rows))
    tables = collect_tables(
        folder, items.chosen(row is not None and row["state"] == "done" for row in _rows_for(items, rows))
    )
    write_conditions(folder, known, (row for row in _rows_for(known, rows) if row is not None))
    notes, problems = _on_tables(recipe, folder)
    corrected = sum(row["corrected"] is not None for row in rows)
    if corrected:
        notes = (
            f"{corrected} items have masks corrected by hand, which stay; to take one back: {UNDO}",
            *notes,
        )
    seconds = time.perf_counter() - started
    result = BatchResult(folder, rows, tables, kept, seconds, where, notes, problems)
    write_report(result, recipe)
    return result


def _rows_for(items: Sequence[Item], rows: Rows) -> Iterator[Mapping[str, Any] | None]:
    """Yield the row of each item, None where there is none; both are in the order of their keys."""
    others = iter(rows)
    row = next(others, None)
    for item in items:
        while row is not None and row["key"] < item.key:
            row = next(others, None)
        yield row if row is not None and row["key"] == item.key else None


def _on_tables(recipe: Recipe, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Run the steps on the tables of the run; return their notes, and why some failed."""
    for name in OUTPUTS[len(TABLES) :]:
        (folder / f"{name}.parquet").unlink(missing_ok=True)  # of a former run
    notes: list[str] = []
    problems: list[str] = []
    for step in recipe.steps_for(TABLE):
        try:
            notes += RUN_ON_TABLES[step.name](folder, step.parameters)
        except BiofmError as error:
            problems.append(f"{step.name}: {' '.join(str(error).split())}")
    return tuple(notes), tuple(problems)


def jobs_of(recipe: Recipe, items: Sequence[Item], folder: Path) -> LazySequence[Job]:
    """Return what is to be done for each item; masks corrected by hand take the place of those that steps make.

    Parameters
    ----------
    items : in order.
    folder : of the run.
    """
    corrected = {path.stem: (path, content_hash(path)) for path in (folder / CORRECTED).glob("*.tif")}
    steps = {
        kind: tuple((one.name, dict(one.parameters)) for one in recipe.steps_for(kind))
        for kind in (IMAGE, RECORDING)
    }
    fingerprints = {kind: recipe.fingerprint(kind) for kind in steps}

    def job(i: int) -> Job:
        item = items[i]
        fingerprint = fingerprints[item.kind]
        masks, digest = corrected.get(item.key, (None, ""))
        if masks is not None:
            fingerprint = hashlib.sha256(f"{fingerprint} {digest}".encode()).hexdigest()
        return Job(
            item, steps[item.kind], folder, fingerprint, recipe.labels, i < SPARE * recipe.thumbnails,
            recipe.folder, recipe.sampling_rate, recipe.unit, masks,
        )  # fmt: skip

    return LazySequence(job, range(len(items)))


def _folder(recipe: Recipe, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out).absolute()
    if recipe.out is None:
        raise BatchError("no folder for the results: give --out DIR, or folder in [output].")
    return (recipe.folder / recipe.out).absolute()


def _prepare(folder: Path, *, resume: bool, force: bool) -> None:
    """Make the folder, or refuse one that holds something."""
    if resume and force:
        raise BatchError("give --resume or --force, not both.")
    folder.mkdir(parents=True, exist_ok=True)
    there = any(folder.iterdir())
    ours = (folder / MANIFEST).exists() or (folder / ITEMS).exists()
    if there and not ours:
        raise BatchError(f"{folder}: holds other files; give a folder that is empty or not there.")
    if ours and not (resume or force):
        raise BatchError(
            f"{folder}: holds the results of a former run; --resume does what is missing, --force begins anew."
        )


def _remove_unfinished(folder: Path) -> None:
    """Remove what workers left half-written that were killed; nobody works here now."""
    for unfinished in (folder / ITEMS).glob(".*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove the results of a former run, and nothing else."""
    shutil.rmtree(folder / ITEMS, ignore_errors=True)
    for name in (MANIFEST, "report.html"):
        (folder / name).unlink(missing_ok=True)
    (folder / CONDITIONS).unlink(missing_ok=True)
    for name in OUTPUTS:
        for ending in (".parquet", ".csv"):
            (folder / f"{name}{ending}").unlink(missing_ok=True)
    shutil.rmtree(folder / "cells.zarr", ignore_errors=True)
