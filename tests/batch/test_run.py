"""Runs: whole results, no result twice, nothing overwritten; the same tables whatever happened on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_biofm.batch.folder_lock import FolderLock
from napari_biofm.batch.items import Item
from napari_biofm.batch.jobs import Job
from napari_biofm.batch.manifest import Manifest
from napari_biofm.batch.run import run_recipe
from napari_biofm.cli import main
from napari_biofm.types import BatchError

RECIPE = """
[input]
images = ["fields/*.tif"]
masks = "masks"
recordings = ["signals/*.npz"]
conditions = "plate.csv"

[output]
thumbnails = 2

[[step]]
do = "measure"

[[step]]
do = "events"
detector = "threshold"
kind = "psc"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Six fields with masks, two recordings, one broken file of each kind, a plate map and a recipe."""
    rng = np.random.default_rng(0)
    for name in ("fields", "masks", "signals"):
        (tmp_path / name).mkdir()
    for i in range(6):
        masks = np.zeros((48, 48), np.uint16)
        for k in range(i):
            masks[4 + 7 * k : 9 + 7 * k, 10:20] = k + 1
        image = (100 * (masks > 0) + rng.integers(0, 20, masks.shape)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "fields" / f"f_A{i + 1:02d}.tif", image)
        tifffile.imwrite(tmp_path / "masks" / f"f_A{i + 1:02d}_mask.tif", masks)
    (tmp_path / "fields" / "broken_B01.tif").write_bytes(b"II*\x00" + bytes(20))
    for i in range(2):
        trace = rng.normal(0, 1, 5000)
        for at in range(500, 5000, 900):
            trace[at : at + 300] -= 40 * np.exp(-np.arange(300)[: len(trace[at : at + 300])] / 40)
        np.savez(tmp_path / "signals" / f"s{i}.npz", signal=trace, sampling_rate=10_000.0, unit="pA")
    (tmp_path / "signals" / "broken.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "plate.csv").write_text("well,compound\nA1,dmso\nA2,x\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def make_jobs(n: int) -> list[Job]:
    """Jobs that are told apart by their keys."""
    return [Job(Item(f"k{i}", Path(f"f{i}.tif"), "image"), (), Path("out"), "") for i in range(n)]


def tables(out: Path) -> dict[str, pd.DataFrame]:
    return {p.stem: pd.read_parquet(p) for p in sorted(out.glob("*.parquet"))}


def assert_equal(one: Path, other: Path) -> None:
    a, b = tables(one), tables(other)
    assert list(a) == list(b)
    for name in a:
        pd.testing.assert_frame_equal(a[name], b[name], check_exact=True)


def test_a_run_makes_tables_a_manifest_and_a_report_and_names_what_failed(project: Path, capsys) -> None:
    out = project / "out"
    code = main(["run", str(project / "recipe.toml"), "--out", str(out), "--jobs", "1", "--json"])
    assert code == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["items"], told["done"], told["failed"]) == (10, 8, 2)
    assert all("broken" in path for path in told["errors"])
    cells, events = tables(out)["cells"], tables(out)["events"]
    assert len(cells) == 15 and cells["file"].nunique() == 5
    assert cells.loc[cells["file"] == "f_A02.tif", "compound"].tolist() == ["x"]
    assert cells.loc[cells["file"] == "f_A03.tif", "compound"].isna().all()
    assert cells["area_px"].tolist() == [50] * 15
    assert len(events) == 10 and set(events["class"]) <= {"PSC", "EPSC", "IPSC"}
    rows = Manifest(out).rows()
    assert [row["state"] for row in rows].count("done") == 8
    assert all(len(row["input_sha256"]) == 64 for row in rows if row["state"] == "done")
    page = (out / "report.html").read_text()
    assert "broken.npz" in page and page.count("data:image/png") == 2 and "<script" not in page


def test_a_folder_with_results_is_refused_and_resumed_only_where_something_is_missing(project: Path) -> None:
    out = project / "out"
    first = run_recipe(project / "recipe.toml", out)
    with pytest.raises(BatchError, match="former run; --resume does what is missing, --force begins anew"):
        run_recipe(project / "recipe.toml", out)
    done = []
    again = run_recipe(
        project / "recipe.toml", out, resume=True, listener=lambda n, of, row: done.append(row["key"])
    )
    assert again.kept == 8 and len(done) == 2, "what failed is tried again"
    stamp = (project / "fields" / "f_A03.tif").stat()
    os.utime(project / "fields" / "f_A03.tif", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10**9))
    changed = run_recipe(project / "recipe.toml", out, resume=True)
    assert changed.kept == 7, "a file that was changed is done again"
    (project / "recipe.toml").write_text(
        RECIPE.replace('do = "measure"', 'do = "measure"\npixel_size_um = 0.5')
    )
    other = run_recipe(project / "recipe.toml", out, resume=True)
    assert other.kept == 2, "images by another recipe are done again, recordings are not"
    assert "area_um2" in tables(out)["cells"]
    assert [row["key"] for row in first.rows] == [row["key"] for row in other.rows]


def test_force_begins_anew_and_touches_nothing_else(project: Path) -> None:
    out = project / "out"
    run_recipe(project / "recipe.toml", out, limit=3)
    (out / "my notes.txt").write_text("keep me")
    result = run_recipe(project / "recipe.toml", out, force=True, limit=4)
    assert (result.kept, len(result.rows)) == (0, 4)
    assert (out / "my notes.txt").read_text() == "keep me"
    strange = project / "strange"
    strange.mkdir()
    (strange / "data.csv").write_text("1")
    with pytest.raises(BatchError, match="holds other files"):
        run_recipe(project / "recipe.toml", strange, force=True)


def test_two_runs_on_one_folder_refuse_each_other(project: Path) -> None:
    out = project / "out"
    out.mkdir()
    with FolderLock(out), pytest.raises(BatchError, match=f"another run works here \\(process {os.getpid()}"):
        FolderLock(out).__enter__()
    (out / "running.json").write_text('{"pid": 999999999, "host": "gone"}')
    os.utime(out / "running.json", (0, 0))
    with FolderLock(out):
        pass
    assert not (out / "running.json").exists()


def test_a_run_that_was_killed_is_resumed_to_the_same_tables(project: Path) -> None:
    undisturbed, killed = project / "undisturbed", project / "killed"
    run_recipe(project / "recipe.toml", undisturbed)
    command = [
        sys.executable,
        "-m",
        "napari_biofm.cli",
        "run",
        str(project / "recipe.toml"),
        "--out",
        str(killed),
    ]
    process = subprocess.Popen([*command, "--jobs", "1"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(list((killed / "items").glob("[!.]*"))) >= 2:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    (killed / "items" / ".half-written-1").mkdir(exist_ok=True)
    result = run_recipe(project / "recipe.toml", killed, resume=True)
    assert result.kept >= 2
    assert_equal(undisturbed, killed)
    assert not list((killed / "items").glob(".*")), "nothing half-written is left"


def test_processes_give_the_same_tables_and_a_worker_that_dies_costs_nothing(project: Path) -> None:
    pytest.importorskip("distributed")
    import psutil

    alone, beside = project / "alone", project / "beside"
    run_recipe(project / "recipe.toml", alone)
    killed: list[int] = []

    def kill_one(_done: int, _total: int, _row: dict) -> None:
        if not killed:
            children = psutil.Process().children(recursive=True)
            workers = [c for c in children if "multiprocessing" in " ".join(c.cmdline()) and not c.children()]
            workers = [c for c in workers if "resource_tracker" not in " ".join(c.cmdline())]
            killed.append(workers[-1].pid)
            workers[-1].kill()

    environment = dict(os.environ)
    result = run_recipe(project / "recipe.toml", beside, jobs=2, listener=kill_one)
    assert killed and len(result.failed) == 2
    assert dict(os.environ) == environment  # what a nanny sets for its workers does not stay in this process
    assert_equal(alone, beside)


def test_a_scheduler_that_is_not_there_is_told_in_one_line(project: Path, capsys) -> None:
    pytest.importorskip("distributed")
    out = project / "out"
    address = "tcp://127.0.0.1:9"
    assert main(["run", str(project / "recipe.toml"), "--out", str(out), "--scheduler", address]) == 1
    assert f"No Dask scheduler answers at {address}" in capsys.readouterr().err


def test_a_dry_run_lists_files_and_steps_and_writes_nothing(project: Path, capsys) -> None:
    assert main(["run", str(project / "recipe.toml"), "--out", str(project / "out"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "f_A01.tif: measure" in told and "s0.npz: events" in told and "10 files" in told
    assert not (project / "out").exists()


def test_formulas_and_tags_in_names_stay_text(project: Path) -> None:
    (project / "fields" / "<b>&x.tif").write_bytes(b"no image")
    result = run_recipe(project / "recipe.toml", project / "out")
    assert len(result.failed) == 3
    assert "<b>" not in (project / "out" / "report.html").read_text()


PROFILES = """
[input]
images = ["fields/*.tif"]
masks = "masks"
conditions = "plate.csv"

[[step]]
do = "measure"

[[step]]
do = "profiles"
min_cells = 1
negative = "dmso"
features = ["area_px", "intensity_mean"]
by = ["compound"]

[[step]]
do = "export"
tables = ["csv", "anndata"]
masks = ["geojson"]
"""


def test_wells_and_files_for_other_programs_are_steps_of_a_recipe(project: Path) -> None:
    import anndata

    (project / "plate.csv").write_text(
        "well,compound\nA1,dmso\nA2,dmso\nA3,dmso\nA4,dmso\nA5,x\nA6,x\nB1,x\n"
    )
    (project / "recipe.toml").write_text(PROFILES)
    out = project / "out"
    result = run_recipe(project / "recipe.toml", out)
    found = tables(out)
    assert set(found) == {"cells", "wells", "hits", "activity", "conditions"} and not result.problems
    assert found["conditions"]["well"].tolist() == ["B01", "A01", "A02", "A03", "A04", "A05", "A06"]
    assert found["wells"]["n_cells"].tolist() == [1, 2, 3, 4, 5]
    cells = anndata.read_zarr(out / "cells.zarr")
    assert cells.obs["area_px"].tolist() == found["cells"]["area_px"].tolist()
    assert len(pd.read_csv(out / "cells.csv")) == len(found["cells"]) == 15
    assert len(list((out / "items").glob("*/cells.geojson"))) == 6
    (project / "plate.csv").write_text("well,compound\nA2,dmso\nA3,x\n")
    other = run_recipe(project / "recipe.toml", out, resume=True)
    assert other.kept == 6, "another plate map needs no image to be done again"
    assert "3 are needed" in other.problems[0], "too few controls are told; the cells are kept"
    assert tables(out)["cells"]["compound"].dropna().tolist() == ["dmso"] + 2 * ["x"]
    assert "area_px_z" not in tables(out)["wells"] and len(tables(out)["cells"]) == 15
