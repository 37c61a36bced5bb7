"""Runs of very many items: what is known of them does not pile up in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from napari_biofm.batch.collect import items_of_run, write_conditions
from napari_biofm.batch.items import Item, kept_small
from napari_biofm.batch.lazy import LazySequence
from napari_biofm.batch.manifest import Manifest
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.run import jobs_of, put_together
from napari_biofm.types import BatchError

N = 3000


def item(i: int) -> Item:
    folder = Path("/data/a folder of a plate")
    columns = {"compound": f"c{i % 8}", "dose": float(i % 5)}
    return Item(
        f"f{i:06d}.tif-0123456789", folder / f"f{i:06d}.tif", "image", folder / f"m{i:06d}.tif", columns
    )


def row(i: int, **more: object) -> dict[str, object]:
    one = item(i)
    known = {
        "key": one.key,
        "path": str(one.path),
        "kind": one.kind,
        "state": "done",
        "error": "",
        "seconds": 0.1,
    }
    return {**known, "fingerprint": "0" * 64, "objects": i, "process": 7, **more}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.of({"input": {"images": ["*.tif"]}, "step": [{"do": "segment"}]}, Path("/data"))


def test_a_sequence_is_a_list_whose_elements_are_made_when_asked_for() -> None:
    made: list[int] = []

    def make(i: int) -> int:
        made.append(i)
        return 10 * i

    tens = LazySequence(make, range(6))
    assert len(tens) == 6 and not made
    assert (tens[1], tens[-1], list(tens[2:4])) == (10, 50, [20, 30])
    odd = tens.chosen(i % 2 == 1 for i in range(6))
    assert list(odd) == [10, 30, 50] and odd[1:][0] == 30 and 30 in odd
    with pytest.raises(IndexError):
        tens[6]
    assert not tens.chosen([False] * 6)


def test_items_come_back_as_they_were_sorted_by_key() -> None:
    other = Item("a-1", Path("/x/ä \udcff.tif"), "recording", None, {"well": "A1"})
    items = kept_small([item(3), other, item(1)])
    assert list(items) == [other, item(1), item(3)]


def test_items_jobs_and_rows_of_a_run_take_little_memory(tmp_path: Path, recipe: Recipe) -> None:
    tracemalloc.start()
    try:
        items = kept_small(item(i) for i in range(N))
        jobs, manifest = jobs_of(recipe, items, tmp_path), Manifest(tmp_path)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for i, job in enumerate(jobs):
            manifest.record(row(i, key=job.item.key), "1")
        manifest.keep_only(one.key for one in items)
        assert sum(one["objects"] for one in manifest.rows()) == N * (N - 1) // 2
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before / N < 700, "bytes an item"
    assert (kept - before) / N < 20, "bytes a row that stay"
    assert (peak - before) / N < 1000, "bytes a row while rows are written and read: a page of them, not all"


def test_rows_are_a_sequence_by_key(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for i in (2, 0, 1, 3):
        manifest.record(row(i, extra=[i]), "1")
    rows = manifest.rows()
    assert len(rows) == 4 and [one["objects"] for one in rows] == [0, 1, 2, 3]
    assert rows[-1] == rows[3] and rows[1]["extra"] == [1] and rows[1]["version"] == "1"
    assert [one["objects"] for one in rows[1:3]] == [1, 2]
    assert rows.of(item(2).key) == rows[2] and rows.of("none") is None
    with pytest.raises(IndexError, match="row 4 of 4"):
        rows[4]
    manifest.keep_only([item(1).key])
    assert [one["objects"] for one in rows] == [1]
    (tmp_path / "manifest.sqlite").unlink()
    with pytest.raises(BatchError, match=r"manifest\.sqlite: the rows of the run cannot be read"):
        list(rows)


def test_conditions_are_written_in_parts_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_biofm.batch.collect.GROUP", 7)
    items = kept_small(item(i) for i in range(20))
    write_conditions(tmp_path, items, (row(i) for i in range(20)))
    assert list(items_of_run(tmp_path)) == list(items)


def test_items_without_a_row_are_left_out(tmp_path: Path, recipe: Recipe) -> None:
    manifest = Manifest(tmp_path)
    for i in (1, 4):
        manifest.record(row(i), "1")
    manifest.flush()
    result = put_together(recipe, tmp_path, kept_small(item(i) for i in range(6)), manifest, 0, "here", 0.0)
    assert [one.key for one in items_of_run(tmp_path)] == [item(1).key, item(4).key]
    assert len(result.rows) == 2 and "2: 2 done, 0 failed" in (tmp_path / "report.html").read_text()
