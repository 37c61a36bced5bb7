"""Two runs of one large image at once, runs that die, and files of the cache that are damaged: the masks are right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.protocols import StackOptions
from napari_biofm.images.tiling import labels_on_disk, large_images
from napari_biofm.images.tiling.large_images import LargeResult, segment_large
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.types import (
    Capabilities,
    ImageError,
    Progress,
    Segmentation,
    SegmentationParameters,
    run_task,
)

DEFAULT = SegmentationParameters()


class Discs:
    """Finds what is brighter than 0.5; takes its time, and notes its calls in a file."""

    weights_sha256, name, capabilities = "", "discs", Capabilities(segments=True)

    def __init__(self, seconds: float = 0.0, log: Path | None = None) -> None:
        self.seconds, self.log, self.calls = seconds, log, 0

    def segment(self, image: Any, parameters: Any) -> Any:
        self.calls += 1
        if self.log is not None:
            with self.log.open("a") as file:
                file.write("x")
        yield Progress(1, 1, "looking")
        time.sleep(self.seconds)
        labels = ndimage.label(image > 0.5)[0].astype(np.int32)
        return Segmentation(labels, diameter=18.0, provenance={"left_out": {"specks": 1}})


def picture() -> np.ndarray:
    y, x = np.mgrid[:300, :410]
    image = np.zeros(y.shape, np.float32)
    for cy in range(12, 300, 24):
        for cx in range(14, 410, 24):
            image[(y - cy) ** 2 + (x - cx) ** 2 < 9**2] = 1
    return image


def small_parts(set_: Any = setattr) -> None:
    """Make the parts and the bands of checksums small, so that there are many."""
    for name, value in (("BLOCK", 128), ("LARGE", 200 * 200), ("MARGIN", 32)):
        set_(large_images, name, value)
    set_(labels_on_disk, "_BAND", 410 * 4 * 20)


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch.setattr)


def run(cache: Path, model: Discs | None = None) -> LargeResult:
    return run_task(
        segment_large(model or Discs(), LazyImage(picture(), "YX"), DEFAULT, store=PassStore(cache))
    )


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return ndimage.label(picture() > 0.5)[0]


def same_objects(labels: np.ndarray, expected: np.ndarray) -> bool:
    pairs = np.unique(np.stack([labels.ravel(), expected.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def folder_of(cache: Path) -> Path:
    return next(one for one in cache.iterdir() if one.is_dir())


def main(cache: str, out: str, seconds: str) -> None:
    """What a process of its own does."""
    small_parts()
    Path(out + ".ready").touch()
    while not (Path(out).parent / "go").exists():
        time.sleep(0.01)
    result = run(Path(cache), Discs(float(seconds), Path(out + ".calls")))
    np.save(out, result.labels())
    Path(out + ".json").write_text(json.dumps(result.objects))


def started(tmp_path: Path, name: str, seconds: float) -> subprocess.Popen[bytes]:
    code = f"from tests.images.tiling.test_two_runs import main; main({str(tmp_path / 'cache')!r}, {str(tmp_path / name)!r}, '{seconds}')"
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    return process


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)


def test_two_processes_at_once_have_the_same_right_masks_and_work_once(
    tmp_path: Path, expected: np.ndarray
) -> None:
    two = [started(tmp_path, name, 0.02) for name in ("a.npy", "b.npy")]
    for name, process in zip("ab", two, strict=True):
        wait_for(tmp_path / f"{name}.npy.ready", process)
    (tmp_path / "go").touch()
    assert [one.wait(60) for one in two] == [0, 0]
    a, b = (np.load(tmp_path / f"{name}.npy") for name in "ab")
    assert same_objects(a, expected) and np.array_equal(a, b)
    assert [json.loads((tmp_path / f"{n}.npy.json").read_text()) for n in "ab"] == [expected.max()] * 2
    calls = [len(path.read_text()) for path in tmp_path.glob("*.calls")]
    assert sum(calls) == 12


def test_a_run_goes_on_when_the_one_it_waits_for_is_killed(tmp_path: Path, expected: np.ndarray) -> None:
    (tmp_path / "go").touch()
    first = started(tmp_path, "a.npy", 0.3)
    calls = tmp_path / "a.npy.calls"
    wait_for(calls, first)
    second = started(tmp_path, "b.npy", 0.0)
    while len(calls.read_text()) < 4:
        time.sleep(0.01)
    wait_for(tmp_path / "b.npy.ready", second)
    first.kill()
    assert second.wait(60) == 0 and first.wait() != 0
    assert same_objects(np.load(tmp_path / "b.npy"), expected)
    assert 12 - len(calls.read_text()) <= len((tmp_path / "b.npy.calls").read_text()) < 12


def test_damaged_labels_are_computed_again(tmp_path: Path, expected: np.ndarray) -> None:
    whole = run(tmp_path)
    labels = np.lib.format.open_memmap(whole.path, "r+")
    labels[250:253, 100:140] = 7  # in the last row of blocks
    labels.flush()
    again = Discs()
    found = run(tmp_path, again)
    assert 0 < again.calls < 12
    np.testing.assert_array_equal(found.labels(), run(tmp_path / "other").labels())
    assert found.objects == expected.max() and found.provenance["left_out"] == {"specks": 12}


@pytest.mark.parametrize(
    "harm", ["cut", "gone", "zeros", "other shape", "log cut", "log gone", "log bytes", "log words"]
)
def test_a_cache_that_is_damaged_is_not_believed(tmp_path: Path, expected: np.ndarray, harm: str) -> None:
    result = run(tmp_path)
    labels, log = result.path, result.path.with_name("parts.jsonl")
    content, lines = labels.read_bytes(), log.read_bytes()
    if harm == "cut":
        labels.write_bytes(content[:-250_000])
    elif harm == "gone":
        labels.unlink()
    elif harm == "zeros":
        labels.write_bytes(content[:200_000] + bytes(len(content) - 200_000))
    elif harm == "other shape":
        np.save(labels, np.zeros((10, 10), np.int32))
    elif harm == "log cut":
        log.write_bytes(lines[: len(lines) // 2])
    elif harm == "log gone":
        log.unlink()
    elif harm == "log bytes":
        log.write_bytes(lines.replace(b'"highest":', b'"highest":1', 3))
    else:
        log.write_bytes(b"null\n[]\n" + lines)
    again = Discs()
    found = run(tmp_path, again)
    assert again.calls > 0
    assert same_objects(found.labels(), expected) and found.objects == expected.max()


def test_the_number_of_objects_is_that_in_the_mask(tmp_path: Path) -> None:
    class Lies(Discs):
        def segment(self, image: Any, parameters: Any) -> Any:
            found = yield from super().segment(image, parameters)
            found.masks[found.masks == 1] = 0
            found.masks[found.masks > 0] += 5  # ids with gaps
            return found

    result = run(tmp_path, Lies())
    assert result.objects == len(np.unique(result.labels())) - 1 > 0


def test_labels_stay_when_somebody_removes_the_cache_in_the_middle(
    tmp_path: Path, expected: np.ndarray
) -> None:
    model = Discs()
    task = segment_large(model, LazyImage(picture(), "YX"), DEFAULT, store=PassStore(tmp_path / "cache"))
    while model.calls < 4:
        next(task)
    shutil.rmtree(tmp_path / "cache")
    result = run_task(task)
    assert same_objects(result.labels(), expected) and result.objects == expected.max()
    assert len(PassStore(tmp_path / "cache").kept()) == 1


def test_what_is_mapped_stays_when_the_cache_is_made_anew(tmp_path: Path, expected: np.ndarray) -> None:
    first = run(tmp_path)
    mapped = first.labels()
    first.path.with_name("parts.jsonl").unlink()
    run(tmp_path)
    assert same_objects(mapped, expected)


def test_planes_that_are_joined_are_whole_after_damage(tmp_path: Path) -> None:
    stack = np.stack([picture()[:120, :130]] * 5)
    image, options = LazyImage(stack, "ZYX"), StackOptions("stitch")

    def stacked(model: Discs) -> LargeResult:
        return run_task(segment_large(model, image, DEFAULT, options, PassStore(tmp_path)))

    whole = stacked(Discs())
    expected = np.array(whole.labels())
    assert whole.objects == expected.max() > 3
    labels = np.lib.format.open_memmap(whole.path, "r+")
    labels[3, 10:20] = 2
    labels.flush()
    again = Discs()
    found = stacked(again)
    assert again.calls in (2, 3)
    np.testing.assert_array_equal(found.labels(), expected)


def test_a_full_disk_is_told_before_labels_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(ImageError, match=r"labels need 0\.0 GB .*NAPARI_BIOFM_CACHE"):
        run(tmp_path)
