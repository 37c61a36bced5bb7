"""Damaged files of every kind end in an error of ours, in one line; the benchmark of the same name does it at length."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.types import BiofmError, ImageError, ModelError

_spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[1] / "benchmarks/fuzz.py")
assert _spec is not None and _spec.loader is not None
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)

LIGHT = (
    "abf", "heka", "wfdb", "npz", "csv", "hdf5", "caiman", "tiff", "tiff-deflate", "ome-tiff", "npy", "zarr", "session",
    "recipe", "plate-map", "labels", "roi-zip", "geojson", "cell-table", "onnx-description", "physio-head", "weights",
    "onnx", "targets", "h5ad", "nifti", "edf", "sdf",
)  # fmt: skip
CASES = 12


@pytest.mark.parametrize("kind", LIGHT)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    make, use = fuzz.KINDS[kind]
    sound = tmp_path / "sound"
    sound.mkdir()
    made = make(sound)
    use(made)
    for case in range(CASES):
        folder = tmp_path / f"case{case}"
        shutil.copytree(sound, folder)
        fuzz.damage(folder / made.name, np.random.default_rng([7, case, *kind.encode()]))
        words = "read"
        try:
            use(folder / made.name)
        except BiofmError as error:
            words = str(error)
        assert words and "\n" not in words


def test_damaged_chunks_and_attributes_of_a_zarr_folder_name_the_folder(tmp_path: Path) -> None:
    for name, content in (("0/1.1", b"no blosc"), (".zattrs", b"\xff\xfe"), ("0/.zarray", b"{")):
        folder = tmp_path / f"{name.replace('/', '_')}.zarr"
        fuzz._zarr(folder)
        assert (folder / name).is_file()
        (folder / name).write_bytes(content)
        with pytest.raises(ImageError, match=folder.name):
            fuzz._read_image(folder)


def test_an_error_is_one_line_whatever_a_library_said() -> None:
    assert str(ImageError("a.tif is damaged (header:\n  bad\n).")) == "a.tif is damaged (header: bad )."


# what the benchmark found: header of a safetensors file whose hash in the JSON was corrected
HEADERS = (
    b"",
    b"\xff" * 8,
    b"\x02" + bytes(7) + b"{",
    b"\x04" + bytes(7) + b"\xff\xfe\x00\x00",
    b"\x02" + bytes(7) + b"{}",
)


def _sealed(weights: Path, content: bytes) -> None:
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    weights.write_bytes(content)
    card["sha256"] = hashlib.sha256(content).hexdigest()
    weights.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")


@pytest.mark.parametrize("kind", ["physio-head", "weights"])
def test_tensors_that_are_none_are_refused_though_their_hash_is_right(kind: str, tmp_path: Path) -> None:
    make, use = fuzz.KINDS[kind]
    path = make(tmp_path)
    (weights,) = path.glob("*.safetensors")
    for content in HEADERS:
        _sealed(weights, content)
        with pytest.raises(ModelError, match=weights.name.split(".")[0]):
            use(path)


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        ("weights", ("config", "widths"), [2**31, 1, 1]),
        ("weights", ("config", "widths", 0), []),
        ("weights", ("config",), None),
        ("weights", ("calibration", "ap", "bias"), float("nan")),
        ("weights", ("presets", "psc"), []),
        ("physio-head", ("classes",), "PSC"),
        ("physio-head", ("kind",), None),
        ("physio-head", ("kind",), {"a": 1}),
        ("physio-head", ("peak",), 10**40),
        ("physio-head", ("coarser",), -1),
        ("physio-head", ("threshold",), float("nan")),
        ("physio-head", ("report",), []),
    ],
)
def test_the_json_beside_weights_is_checked(
    kind: str, place: tuple[str | int, ...], value: object, tmp_path: Path
) -> None:
    make, use = fuzz.KINDS[kind]
    path = make(tmp_path)
    (card,) = path.glob("*.json")
    whole = holder = json.loads(card.read_text(encoding="utf-8"))
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    card.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(ModelError, match=card.stem):
        use(path)


@pytest.mark.parametrize("kind", ["nwb", "h5ad"])
def test_a_heap_of_strings_that_never_ends_is_refused(kind: str, tmp_path: Path) -> None:
    """libhdf5 goes round in a circle where the free space of a heap is shorter than its header."""
    make, use = fuzz.KINDS[kind]
    path = make(tmp_path)
    content = bytearray(path.read_bytes())
    at = start = content.index(b"GCOL\x01")
    size = int.from_bytes(content[start + 8 : start + 16], "little")
    at += 16
    while content[at : at + 2] != b"\0\0":
        assert at < start + size
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(BiofmError, match="heap"):
        use(path)
