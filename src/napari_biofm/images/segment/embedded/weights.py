"""Weights on disk: safetensors and, beside them, a JSON that explains and vouches for them. Nothing is
executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.files import atomic_write, write_text
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_biofm.images.segment.embedded.network import Network

FORMAT = 1
_REMEDY = "reinstall napari-biofm, or train again with training/image/train.py"


@dataclass(frozen=True)
class Stored:
    """What was read: the explanation, its tensors, and the checksum that was compared."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    sha256: str
    path: Path


def shipped() -> Path:
    """Where the weights that came with the package lie."""
    return Path(str(resources.files("napari_biofm") / "weights" / "image.safetensors"))


def read(path: Path | None = None) -> Stored:
    """Read and verify weights.

    Parameters
    ----------
    path : the `.safetensors` file (its `.json` lies beside it) or a folder with `image.safetensors`;
        None for the shipped ones.

    Raises
    ------
    ModelError : if a file is missing, truncated, altered, or not a model of this kind.
    """
    file = Path(path) if path is not None else shipped()
    if file.is_dir():
        file = file / "image.safetensors"
    beside = file.with_suffix(".json")
    for wanted in (file, beside):
        if not wanted.is_file():
            raise ModelError(f"{wanted} is missing; {_REMEDY}")
    config = _read_config(beside)
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != config["sha256"]:
        raise ModelError(
            f"{file} has sha256 {digest[:12]}..., but {beside.name} promises "
            f"{str(config['sha256'])[:12]}...: the file is damaged or was exchanged; {_REMEDY}"
        )
    return Stored(config, _tensors(file, data), digest, file)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is not readable JSON ({error}); {_REMEDY}") from error
    needed = {
        "format": int,
        "name": str,
        "version": str,
        "architecture": dict,
        "inference": dict,
        "sha256": str,
    }
    for key, kind in needed.items():
        if not isinstance(config, dict) or not isinstance(config.get(key), kind):
            raise ModelError(f"{path} lacks `{key}` ({kind.__name__}); {_REMEDY}")
    if config["format"] != FORMAT:
        raise ModelError(
            f"{path} has format {config['format']}, this version reads {FORMAT}; update napari-biofm"
        )
    return dict(config)


def _tensors(file: Path, data: bytes) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: Mapping[str, Tensor] = load(data)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{file} is not a readable safetensors file ({error}); {_REMEDY}") from error
    return tensors


def unfused(stored: Stored) -> Network:
    """Build the network of `stored` in float32, with its normalisations apart, in evaluation mode.

    Raises
    ------
    ModelError : if the tensors do not fit the architecture or are not finite.
    """
    import torch

    from napari_biofm.images.segment.embedded.network import Architecture, Network

    try:
        network = Network(Architecture.from_json(stored.config["architecture"]))
        counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
        network.load_state_dict({**counters, **{k: v.float() for k, v in stored.tensors.items()}})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{stored.path} does not fit its description ({error}); {_REMEDY}") from error
    if not all(bool(torch.isfinite(p).all()) for p in network.state_dict().values()):
        raise ModelError(f"{stored.path} holds numbers that are not finite; {_REMEDY}")
    return network.eval().to(memory_format=torch.channels_last)


def build(stored: Stored) -> Network:
    """Build the network of `stored`, normalisations folded in: faster, for inference only."""
    import torch

    from napari_biofm.images.segment.embedded.network import fuse

    return fuse(unfused(stored)).to(memory_format=torch.channels_last)


def write(path: Path, network: Network, config: Mapping[str, Any]) -> Path:
    """Write weights as fp16 safetensors with their JSON, and return the path of the former.

    Parameters
    ----------
    path : the `.safetensors` file to write.
    network : trained network (not fused).
    config : name, version, inference settings, report, licence, ...; architecture, format and sha256 are
        added.
    """
    from safetensors.torch import save

    state = network.state_dict()
    tensors = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()}
    data = save({k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")})
    described = {
        "format": FORMAT,
        **config,
        "architecture": network.architecture.to_json(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    write_text(path.with_suffix(".json"), json.dumps(described, indent=1) + "\n")
    return path
