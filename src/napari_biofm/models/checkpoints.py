"""Opening weights without trusting them.

Weights are tensors, not programs. A safetensors file holds nothing else; a torch file is opened with
`weights_only=True`, which refuses anything but tensors. What the tensors are is read from their names
and shapes, so that a renamed file is not taken for what its name says.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ModelError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_CHUNK = 1 << 22
_HIERA = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}  # width and number of blocks
_VIT_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a file and what they turned out to be.

    Attributes
    ----------
    path : the file.
    state : tensors by name, on the CPU, with wrappers' prefixes removed.
    family : "cellpose-sam", "cellpose-dino", "sam", "mobile-sam", "sam2", "embedded" or "unknown".
    architecture : e.g. "vit_b"; "custom" where the width is nobody's.
    """

    path: Path
    state: dict[str, torch.Tensor]
    family: str
    architecture: str


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits, read in pieces.

    Parameters
    ----------
    path : of the file.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def open_checkpoint(path: Path | str, family: str | None = None, sha256: str | None = None) -> Checkpoint:
    """Open the weights in `path`, executing nothing in it.

    Parameters
    ----------
    path : a safetensors file, or a torch file that holds tensors only.
    family : what the weights have to be; None accepts every known family.
    sha256 : the digest the file has to have; None where none is known.

    Raises
    ------
    ModelError
        When the file is missing, truncated, tampered with, holds code, or is another model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no weights at {path}; download them with 'napari-biofm models download'")
    if path.stat().st_size == 0:
        raise ModelError(f"{path} is empty; delete it and download the model again")
    if sha256 is not None and sha256_of(path) != sha256:
        raise ModelError(
            f"{path} is not the file its publisher made (its SHA-256 differs from {sha256[:12]}...); "
            f"it was cut off, changed or renamed: delete it and download the model again"
        )
    state = _unwrap(_read(path), path)
    found, architecture = identify(state)
    if found == "cellpose-3":
        raise ModelError(f"{path} is a Cellpose 1 to 3 model; Cellpose 4 cannot run it, retrain it there")
    if found == "unknown":
        raise ModelError(
            f"{path} holds weights of no known model; Cellpose 4, SAM and SAM 2 files are understood"
        )
    if family is not None and found != family:
        raise ModelError(
            f"{path} holds {found} ({architecture}) weights, not {family}; "
            f"it may have been renamed: choose the file again or download the model"
        )
    return Checkpoint(path, state, found, architecture)


def identify(state: Mapping[str, Any]) -> tuple[str, str]:
    """Return (family, architecture) that the names and shapes of `state` speak of.

    Parameters
    ----------
    state : tensors by name.
    """
    if "W2" in state and "encoder.cls_token" in state:
        return "cellpose-dino", f"dino_{state['encoder.cls_token'].shape[-1]}"
    if "W2" in state and "encoder.patch_embed.proj.weight" in state and "encoder.neck.0.weight" in state:
        return "cellpose-sam", "sam_vitl"
    if any(key.startswith(("downsample.", "upsample.")) for key in state):
        return "cellpose-3", "unet"
    if "image_encoder.patch_embed.proj.weight" in state and "mask_decoder.iou_token.weight" in state:
        width = int(state["image_encoder.patch_embed.proj.weight"].shape[0])
        return "sam", _VIT_WIDTH.get(width, "custom")
    if "image_encoder.trunk.patch_embed.proj.weight" in state and "maskmem_tpos_enc" in state:
        return "sam2", _hiera(state)
    if any(key.startswith("image_encoder.layers.") for key in state):
        return "mobile-sam", "vit_t"
    if "stem.0.weight" in state and "mask_decoder.out.weight" in state:
        return "embedded", "unet"
    return "unknown", ""


def _hiera(state: Mapping[str, Any]) -> str:
    """Return which of SAM 2's configurations has the sizes of `state`, e.g. "sam2.1_hiera_t"."""
    trunk = "image_encoder.trunk."
    width = int(state[f"{trunk}patch_embed.proj.weight"].shape[0])
    depth = len({key.split(".")[3] for key in state if key.startswith(f"{trunk}blocks.")})
    size = _HIERA.get((width, depth), "custom")
    return f"{'sam2.1' if 'no_obj_embed_spatial' in state else 'sam2'}_hiera_{size}"


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        head = file.read(16)
    if _is_safetensors(path, head):
        return read_tensors(path)
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is cut off; delete it and download or copy the model again")
    return _read_torch(path)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, or of a torch file that holds tensors only, by name, on the CPU.

    Parameters
    ----------
    path : of the file.

    Raises
    ------
    ModelError
        If it is damaged, or holds more than tensors; nothing in it is run.
    """
    return _unwrap(_read(path), path)


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Tell a safetensors file by its header: a length, then JSON."""
    return path.suffix == ".safetensors" or (len(head) > 8 and head[8:9] == b"{" and head[:2] != b"PK")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU.

    Parameters
    ----------
    path : of the file.

    Raises
    ------
    ModelError
        If it cannot be read, or is damaged.
    """
    from safetensors.torch import load_file

    return _whole(load_file, path)


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a safetensors file by name; for files of ours that need no torch.

    Parameters
    ----------
    path : of the file.

    Raises
    ------
    ModelError
        If it cannot be read, or is damaged.
    """
    from safetensors.numpy import load_file

    return _whole(load_file, path)


def _whole(load: Callable[[Path], dict[str, T]], path: Path) -> dict[str, T]:
    try:
        return dict(load(path))
    except Exception as error:  # safetensors, numpy and torch raise many kinds on damaged headers
        raise ModelError(f"{path} is not a whole safetensors file ({error}); copy it again") from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle protocol that is refused anyway
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # what a damaged file raises depends on the byte that is damaged
        reason = next((line.strip() for line in str(error).splitlines() if "Unsupported" in line), "")
        if isinstance(error, pickle.UnpicklingError) and reason:
            raise ModelError(
                f"{path} holds more than weights and was not opened ({reason}); nothing in it was run. "
                f"Get the model from its publisher, or save its state_dict as safetensors"
            ) from error
        kind = type(error).__name__
        raise ModelError(f"{path} is damaged or no checkpoint ({kind}); copy or download it again") from error


def _unwrap(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """Take the state_dict out of what training tools wrap around it."""
    import torch

    for key in ("model_state", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, not named weights; export a state_dict")
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    for prefix in ("module.", "sam."):
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    if not state:
        raise ModelError(f"{path} holds no tensors; export the model's state_dict")
    return state
