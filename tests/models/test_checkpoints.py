"""Weights are opened as tensors only, and known by their shapes, not by their names."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from napari_biofm.models import checkpoints, store
from napari_biofm.types import ModelError


def _sam_state(width=768):
    return {
        "image_encoder.patch_embed.proj.weight": torch.zeros(width, 3, 2, 2),
        "mask_decoder.iou_token.weight": torch.zeros(1, 4),
    }


def _cpsam_state():
    return {
        "W2": torch.zeros(3),
        "encoder.patch_embed.proj.weight": torch.zeros(4, 3, 2, 2),
        "encoder.neck.0.weight": torch.zeros(4, 4, 1, 1),
    }


class _Bomb:
    """Runs a command when unpickled, if anybody lets it."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize(
    ("state", "family", "architecture"),
    [
        (_sam_state(), "sam", "vit_b"),
        (_sam_state(1024), "sam", "vit_l"),
        (_sam_state(1280), "sam", "vit_h"),
        (_cpsam_state(), "cellpose-sam", "sam_vitl"),
    ],
)
def test_a_torch_file_is_identified_by_its_tensors(tmp_path, state, family, architecture):
    torch.save(state, tmp_path / "any-name.pth")
    opened = checkpoints.open_checkpoint(tmp_path / "any-name.pth")
    assert (opened.family, opened.architecture) == (family, architecture)


def test_safetensors_are_read(tmp_path):
    save_file(_cpsam_state(), tmp_path / "model.safetensors")
    assert checkpoints.open_checkpoint(tmp_path / "model.safetensors").family == "cellpose-sam"


@pytest.mark.parametrize("prefix", ["module.", "sam."])
def test_wrappers_of_training_tools_are_taken_off(tmp_path, prefix):
    torch.save({"model_state": {prefix + k: v for k, v in _sam_state().items()}}, tmp_path / "trained.pt")
    assert checkpoints.open_checkpoint(tmp_path / "trained.pt").family == "sam"


@pytest.mark.parametrize("as_torch_file", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, as_torch_file):
    path, marker = tmp_path / "bad.pth", tmp_path / "ran"
    content = {**_sam_state(), "extra": _Bomb(marker)}
    if as_torch_file:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError, match=r"bad\.pth"):
        checkpoints.open_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "cut.pth"
    torch.save({**_sam_state(), "bulk": torch.zeros(100_000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    with pytest.raises(ModelError, match=r"cut\.pth"):
        checkpoints.open_checkpoint(path)


def test_a_truncated_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_file(_cpsam_state(), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="safetensors"):
        checkpoints.open_checkpoint(path)


def test_a_tampered_file_is_refused_by_its_digest(tmp_path):
    path = tmp_path / "changed.pth"
    torch.save(_sam_state(), path)
    sha256 = checkpoints.sha256_of(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="SHA-256"):
        checkpoints.open_checkpoint(path, sha256=sha256)


def test_a_renamed_model_is_told_by_its_shapes(tmp_path):
    torch.save(_sam_state(), tmp_path / "cpsam")
    with pytest.raises(ModelError, match=r"sam \(vit_b\) weights, not cellpose-sam"):
        checkpoints.open_checkpoint(tmp_path / "cpsam", family="cellpose-sam")


@pytest.mark.parametrize("state", [{"downsample.x": torch.zeros(1)}, {"foo": torch.zeros(1)}, {}, [1, 2]])
def test_other_contents_are_refused(tmp_path, state):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth"):
        checkpoints.open_checkpoint(tmp_path / "other.pth")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "note.pth").write_text("these are not weights")
    with pytest.raises(ModelError, match=r"note\.pth"):
        checkpoints.open_checkpoint(tmp_path / "note.pth")


def test_an_imported_model_is_kept_recorded_and_guarded(tmp_path):
    torch.save(_cpsam_state(), tmp_path / "finetuned.pth")
    folder = tmp_path / "models"
    own = store.import_model(tmp_path / "finetuned.pth", "my-cells", folder)
    assert own.family == "cellpose-sam"
    assert store.resolve("my-cells", folder) == own
    assert any(row["name"] == "my-cells" for row in store.overview(folder))
    with pytest.raises(ModelError, match="exists already"):
        store.import_model(tmp_path / "finetuned.pth", "my-cells", folder)
    own.path.write_bytes(own.path.read_bytes() + b"x")
    with pytest.raises(ModelError, match="not the file that was imported"):
        store.resolve("my-cells", folder)
