"""What cannot be run is told in one line with an exit code, and nothing half-written is left."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.batch.test_run import assert_equal, project

from napari_biofm import __version__
from napari_biofm.batch import folder_lock, manifest, writing
from napari_biofm.batch.disk import disk_words
from napari_biofm.batch.pools import Cluster
from napari_biofm.batch.run import run_recipe
from napari_biofm.cli import main
from napari_biofm.types import BatchError

__all__ = ["project"]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the verb said, which must be a single line."""
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0 and told.startswith("napari-biofm: "), told
    return told


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('do = "measure"', 'do = "meassure"', "there is no step 'meassure'; did you mean 'measure'?"),
        ('kind = "psc"', 'kynd = "psc"', "the step events has no parameter 'kynd'; did you mean 'kind'?"),
        ('conditions = "plate.csv"', 'conditions = "bare.csv"', "no column well"),
        ('conditions = "plate.csv"', 'conditions = "gone.csv"', "gone.csv"),
        ('masks = "masks"', 'masks = "gone"', "the folder of masks"),
    ],
)
def test_a_recipe_that_cannot_be_run_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, words: str
) -> None:
    (project / "bare.csv").write_text("compound,dose\nx,1\n")
    recipe = project / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(before, after))
    assert main(["run", str(recipe), "--out", str(project / "out")]) == 1
    assert words in one_line(capsys)
    assert not (project / "out").exists()


def test_a_full_disk_ends_the_run_and_what_is_finished_is_kept(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_recipe(project / "recipe.toml", project / "undisturbed")
    out, put, done = project / "out", writing.write_table, []

    def write_table(*args: Any) -> None:
        if len(done) == 4:
            raise FULL
        done.append(args)
        put(*args)

    monkeypatch.setattr(writing, "write_table", write_table)
    assert main(["run", str(project / "recipe.toml"), "--out", str(out), "--jobs", "1"]) == 1
    assert f"{out}: the disk is full; free some space and run again with --resume" in one_line(capsys)
    assert (
        not list(out.glob("*.parquet"))
        and not list((out / "items").glob(".*"))
        and not (out / "running.json").exists()
    )
    monkeypatch.undo()
    again = run_recipe(project / "recipe.toml", out, resume=True)
    assert again.kept == 4 and len(again.failed) == 2
    assert_equal(project / "undisturbed", out)


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("flush", sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        ("flush", sqlite3.OperationalError("disk I/O error"), "the manifest cannot be written"),
        ("rows", FULL, "the disk is full"),
    ],
)
def test_a_manifest_that_cannot_be_written_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception, words: str
) -> None:
    def fail(_self: Any) -> None:
        raise error

    monkeypatch.setattr(manifest.Manifest, what, fail)
    with pytest.raises(BatchError, match=words):
        run_recipe(project / "recipe.toml", project / "out")
    assert not (project / "out" / "running.json").exists()


def test_a_folder_that_cannot_be_written_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, *_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(folder_lock.os, "open", refuse)
    assert main(["run", str(project / "recipe.toml"), "--out", str(project / "out")]) == 1
    monkeypatch.undo()
    told = one_line(capsys)
    assert f"{project / 'out'}: cannot be written ({os.strerror(errno.EROFS)}); give another folder" in told
    assert not list((project / "out").iterdir())
    (project / "file").write_text("in the way")
    assert main(["run", str(project / "recipe.toml"), "--out", str(project / "file" / "below")]) == 1
    assert "cannot be written (Not a directory)" in one_line(capsys)


def test_an_error_beside_the_folder_names_its_own_place(tmp_path: Path) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/other/log.json")
    assert disk_words(denied, tmp_path).startswith("/other/log.json: cannot be written (Permission denied)")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("0.0.1", f"The worker tcp://w runs napari-biofm 0.0.1, this is {__version__}"),
        (ModuleNotFoundError("No module named 'napari_biofm'"), "cannot import napari-biofm"),
    ],
)
def test_workers_of_another_version_are_refused(answer: Any, words: str) -> None:
    class Client:
        def wait_for_workers(self, *_: Any, **__: Any) -> None: ...

        def run(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"tcp://v": __version__, "tcp://w": answer}

    pool = Cluster.__new__(Cluster)
    pool._client, pool.description = Client(), "on workers"
    with pytest.raises(BatchError, match=words):
        pool._check_versions()
