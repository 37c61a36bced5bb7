"""Faults that `benchmarks/faults.py` injects many times, here a few times each; it says what every kind is.

Kinds with a window are tests of their own: a layer that is removed and a window that is closed in the middle of a job
in `widgets/test_base.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.files import MappedArray, load_numpy
from napari_biofm.signals import read_recording
from napari_biofm.simulate import write_abf
from napari_biofm.types import BiofmError

if sys.platform == "win32":
    pytest.skip("processes are killed and forked", allow_module_level=True)

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROUNDS = {"file-changes": 6, "other-formats": 12}


@pytest.fixture(scope="module")
def faults() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("faults", BENCHMARKS / "faults.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))
    tools = sys.modules["fault_tools"]
    if tools._engine is not None:
        tools._engine.close()
        tools._engine = None


@pytest.mark.parametrize(
    "kind",
    [
        "worker-killed", "editing-killed", "saving-killed", "autosaving-killed", "disk-full", "file-cut", "not-allowed",
        "folder-vanishes", "cache-vanishes", "one-session", "one-folder", "clock-jumps", "worker-out-of-memory",
        "network-cut", "file-changes", "other-formats",
    ],
)  # fmt: skip
def test_what_is_promised_holds(faults: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_biofm.images.tiling import labels_on_disk, large_images

    for module, name in ((large_images, "BLOCK"), (large_images, "LARGE"), (large_images, "MARGIN")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    monkeypatch.setattr(labels_on_disk, "_BAND", labels_on_disk._BAND)
    broken = [why for number in range(ROUNDS.get(kind, 1)) if (why := faults.one_round(kind, 0, number))]
    assert broken == []


def test_every_kind_is_known(faults: Any) -> None:
    assert set(faults.MANY) | set(faults.WINDOWS) < set(faults.KINDS)


def test_a_mapped_file_that_is_cut_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(1 << 20))
    mapped = load_numpy(tmp_path / "a.npy", mapped=True)
    assert isinstance(mapped, MappedArray) and mapped[5:7].tolist() == [5, 6]
    whole = (tmp_path / "a.npy").read_bytes()
    part = mapped.reshape(1024, 1024)[3:]
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(5000)
    for array in (mapped, part, part.T):
        with pytest.raises(BiofmError, match=r"a\.npy became shorter while it was open"):
            array[0]
    (tmp_path / "a.npy").write_bytes(whole)
    assert mapped[-1] == (1 << 20) - 1


def test_a_recording_that_is_cut_while_it_is_open_says_so(tmp_path: Path) -> None:
    path = write_abf(tmp_path / "a.abf", [np.sin(np.arange(200_000) / 50.0)], ["Vm"], ["mV"], 10_000.0)
    recording = read_recording(path)
    recording.values(0, 0)
    with path.open("r+b") as file:
        file.truncate(7000)
    with pytest.raises(BiofmError, match=r"a\.abf became shorter while it was open"):
        recording.values(0, 0, 100_000, 200_000)
