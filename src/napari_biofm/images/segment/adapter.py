"""What the adapters of downloaded weights share: opening, probing, placing, predicting cost, provenance."""

from __future__ import annotations

import copy
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from napari_biofm.models import device as devices
from napari_biofm.models.checkpoints import Checkpoint, open_checkpoint
from napari_biofm.models.device import DevicePlan, Estimate
from napari_biofm.models.store import digest
from napari_biofm.types import Capabilities, SegmentationParameters

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class LoadedNetwork:
    """A network on its device.

    Attributes
    ----------
    net : the torch module.
    plan : how it runs; changes when memory runs out.
    parameters : number of weights.
    """

    net: Any
    plan: DevicePlan
    parameters: int


class WeightsAdapter(ABC):
    """A model that runs weights from a file.

    Parameters
    ----------
    weights : checkpoint, torch or safetensors.
    device : "auto", "cpu", "cuda", "cuda:1" or "mps".
    dtype : "auto" lets a probe choose; otherwise "float32", "bfloat16" or "float16".
    channels : channels of the image to use, at most three; the first three by default.
    name : shown to the user; the file's stem by default.
    sha256 : digest the file has to have; None trusts the record beside it.
    """

    family: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    library: ClassVar[str]  # distribution whose version goes into the provenance
    _tile_memory: ClassVar[int]  # bytes one tile needs beside the weights, float32
    _batch: int | None = None  # tiles at once; None lets the device decide

    def __init__(
        self,
        weights: Path | str,
        device: str = "auto",
        *,
        dtype: str = "auto",
        channels: Sequence[int] | None = None,
        name: str | None = None,
        sha256: str | None = None,
    ) -> None:
        self.weights = Path(weights)
        self.name = name or self.weights.stem
        self.channels = None if channels is None else tuple(channels)
        self._asked = (device, dtype)
        self._sha256 = sha256
        self._network: LoadedNetwork | None = None

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights."""
        if self._sha256 is None:
            self._sha256 = digest(self.weights)
        return self._sha256

    @property
    def plan(self) -> DevicePlan:
        """Device, precision and batch in use; loads the network and probes it at first."""
        return self._load().plan

    def estimate(
        self, shape: Sequence[int], parameters: SegmentationParameters | None = None, planes: int = 1
    ) -> Estimate:
        """Predict tiles, time and memory for `planes` images of this (Y, X) shape, before they are run."""
        network = self._load()
        plan = network.plan
        tiles, working = self._cost(shape, parameters or SegmentationParameters(), plan)
        itemsize = 4 if plan.dtype == "float32" else 2
        seconds = None if plan.seconds_per_tile is None else plan.seconds_per_tile * tiles * planes
        memory = network.parameters * itemsize + working
        free = devices.free_memory(plan.device)
        return Estimate(tiles * planes, seconds, memory, free, plan.device, plan.dtype)

    def _load(self) -> LoadedNetwork:
        if self._network is None:
            net = self._build(open_checkpoint(self.weights, self.family, self._sha256))
            count = sum(p.numel() for p in net.parameters())
            plan = self._choose(net, devices.pick_device(self._asked[0]))
            self._place(net, plan)
            self._network = LoadedNetwork(net, plan, count)
        return self._network

    def _choose(self, net: Any, device: str) -> DevicePlan:
        """Time a part of the network in every precision and plan for all of it."""
        dtype = self._asked[1]
        wanted = None if dtype == "auto" else (dtype,)
        network = type(self).__name__ + f" of {sum(p.numel() for p in net.parameters())}"
        plan = devices.probe(
            lambda name: self._time_tile(net, device, name), device, wanted, self._batch, network
        )
        seconds = plan.seconds_per_tile or 0.0
        if device == "cpu":
            seconds = devices.probe_threads(lambda: self._time_tile(net, device, plan.dtype), seconds)
            return replace(plan, threads=devices.thread_count(), seconds_per_tile=seconds)
        if self._batch is not None:
            return plan
        half = 1 if plan.dtype == "float32" else 2
        weights = sum(p.numel() for p in net.parameters()) * 4 // half
        free = devices.free_memory(device)
        return replace(
            plan, batch=devices.batch_that_fits(plan.batch, free, weights, self._tile_memory // half)
        )

    def _to_cpu(self) -> DevicePlan:
        """Move the network to the CPU in full precision and return the plan for it."""
        network = self._load()
        devices.release(network.plan.device)
        network.plan = DevicePlan("cpu", "float32", devices.thread_count(), 1)
        self._place(network.net, network.plan)
        return network.plan

    def _provenance(self, parameters: SegmentationParameters, **more: Any) -> dict[str, Any]:
        return {
            "model": self.name,
            "weights_sha256": self.weights_sha256,
            "device": self.plan.device,
            "dtype": self.plan.dtype,
            "parameters": asdict(parameters),
            "versions": {name: importlib.metadata.version(name) for name in (self.library, "torch")},
            **more,
        }

    @abstractmethod
    def _build(self, checkpoint: Checkpoint) -> Any:
        """Return the network of a checkpoint, on the CPU in float32, ready for inference."""

    @abstractmethod
    def _time_tile(self, net: Any, device: str, dtype: str) -> float:
        """Return the seconds one tile takes in a precision, from timing a part of the network."""

    @abstractmethod
    def _place(self, net: Any, plan: DevicePlan) -> None:
        """Bring the network to the device and precision of a plan."""

    @abstractmethod
    def _cost(
        self, shape: Sequence[int], parameters: SegmentationParameters, plan: DevicePlan
    ) -> tuple[int, int]:
        """Return the tiles of one (Y, X) image and the bytes it needs beside the weights."""


def time_block(block: nn.Module, side: int, device: str, dtype: str, repeats: int) -> float:
    """Return the seconds a copy of a transformer block takes for (1, side, side, C) in a precision."""
    import torch

    from napari_biofm.images.segment.attention import FoldedAttention

    kind = torch_dtype(dtype)
    copied: Any = copy.deepcopy(block).to(device, kind)
    copied.attn.forward = FoldedAttention(copied.attn)
    x = torch.zeros(1, side, side, copied.norm1.weight.shape[0], device=device, dtype=kind)
    with torch.inference_mode():
        return devices.timed(lambda: copied(x), device, repeats)


def torch_dtype(name: str) -> torch.dtype:
    """Return torch's own object for "float32" and the like."""
    import torch

    found: torch.dtype = getattr(torch, name)
    return found
