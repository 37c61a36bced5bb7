"""Weights that were altered, cut off or described wrongly must be refused with the file and the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.images.segment.embedded import weights
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.types import ModelError


@pytest.fixture
def copied(random_weights: Path, tmp_path: Path) -> Path:
    """A copy of valid weights that a test may spoil."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(random_weights.with_suffix(suffix), tmp_path)
    return tmp_path / "image.safetensors"


def rewrite(path: Path, **changes: object) -> None:
    """Change values of the description beside `path`."""
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **changes}))


def test_what_was_written_is_read_back(copied: Path) -> None:
    stored = weights.read(copied)
    assert weights.read(copied.parent).sha256 == stored.sha256
    assert EmbeddedModel(copied).weights_sha256 == stored.sha256


def test_one_changed_byte_is_noticed(copied: Path) -> None:
    data = bytearray(copied.read_bytes())
    data[-100] ^= 1
    copied.write_bytes(bytes(data))
    with pytest.raises(ModelError, match=r"image\.safetensors.*damaged.*reinstall"):
        EmbeddedModel(copied)


def test_a_truncated_file_is_noticed(copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        EmbeddedModel(copied)


def test_a_file_that_is_no_safetensors_is_refused_even_with_a_matching_checksum(copied: Path) -> None:
    import hashlib

    copied.write_bytes(b"not tensors at all")
    rewrite(copied, sha256=hashlib.sha256(b"not tensors at all").hexdigest())
    with pytest.raises(ModelError, match="not a readable safetensors"):
        EmbeddedModel(copied)


@pytest.mark.parametrize("missing", [".safetensors", ".json"])
def test_missing_files_are_named(copied: Path, missing: str) -> None:
    copied.with_suffix(missing).unlink()
    with pytest.raises(ModelError, match=f"image{missing}.*missing"):
        EmbeddedModel(copied)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 99}, "format 99"),
        ({"architecture": 3}, "architecture"),
        ({"architecture": {"planes": 3}}, "architecture has keys"),
        ({"sha256": None}, "sha256"),
        ({"inference": []}, "inference"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(
    copied: Path, changes: dict[str, object], said: str
) -> None:
    rewrite(copied, **changes)
    with pytest.raises(ModelError, match=said):
        EmbeddedModel(copied)


def test_another_architecture_than_the_tensors_is_refused(copied: Path) -> None:
    described = json.loads(copied.with_suffix(".json").read_text())["architecture"]
    rewrite(copied, architecture={**described, "vector": 13})
    with pytest.raises(ModelError, match="does not fit its description"):
        EmbeddedModel(copied)


def test_a_description_that_is_no_json_is_refused(copied: Path) -> None:
    copied.with_suffix(".json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ModelError, match="not readable JSON"):
        EmbeddedModel(copied)


def test_the_shipped_weights_are_small_and_describe_themselves() -> None:
    stored = weights.read()
    assert stored.path.stat().st_size <= 12e6
    assert stored.config["licence"] and stored.config["report"]
    total = sum(int(np.prod(t.shape)) for t in stored.tensors.values())
    assert 2e6 < total < 6e6
