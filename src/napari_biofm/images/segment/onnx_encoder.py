"""An encoder of single cells from outside, run by onnxruntime."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.models.onnx_files import check_onnx, read_description
from napari_biofm.types import Capabilities, ImageError, ModelError, Vectors

BATCH = 16


class OnnxEncoder:
    """Crops to vectors by an ONNX graph; see `models.onnx_files` for what is accepted.

    Attributes
    ----------
    name : of the file, without its ending.
    weights_sha256 : of the graph and its description together.
    about : the description beside it.
    """

    capabilities = Capabilities(crops=True)
    crop_parts: tuple[int, ...] = ()

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        check_onnx(weights)
        beside = weights.with_suffix(".json")
        self.about, self.name = read_description(beside), weights.stem
        # vectors depend on the description as much as on the weights
        self.weights_sha256 = hashlib.sha256((sha256_of(weights) + sha256_of(beside)).encode()).hexdigest()
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError("ONNX encoders need onnxruntime: pip install napari-biofm[onnx].") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 2
        there = onnxruntime.get_available_providers()
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        providers = [p for p in wanted if p in there] + ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(weights.read_bytes(), options, providers=providers)
        except Exception as error:  # onnxruntime raises errors of its own kinds
            raise ModelError(f"{weights.name} cannot be run by onnxruntime ({error}).") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            took = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise ModelError(f"{weights.name} takes {took}; one input (N, C, Y, X) of float32 is needed.")
        one_at_a_time = isinstance(inputs[0].shape[0], int)
        self._input, self._batch = inputs[0].name, int(inputs[0].shape[0]) if one_at_a_time else BATCH
        if one_at_a_time and self._batch != 1:
            raise ModelError(
                f"{weights.name} takes {self._batch} crops at a time; export it for any number, or for 1."
            )

    def crop_vectors(self, crops: NDArray[Any]) -> Vectors:
        """Return (N, d) float32 for crops (N, Y, X[, C])."""
        stack = np.asarray(crops, np.float32)
        stack = stack[..., None] if stack.ndim == 3 else stack
        parts = [
            self._run(self._prepared(stack[i : i + self._batch])) for i in range(0, len(stack), self._batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def _prepared(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        about = self.about
        if stack.shape[-1] == 1 and about.channels > 1:
            stack = np.repeat(stack, about.channels, axis=-1)
        if stack.shape[-1] != about.channels:
            raise ImageError(
                f"{self.name} takes {about.channels} channels; these crops have {stack.shape[-1]}."
            )
        stack = np.nan_to_num(stack)
        if about.scale == "crop":
            low, high = stack.min((1, 2, 3), keepdims=True), stack.max((1, 2, 3), keepdims=True)
            stack = (stack - low) / np.maximum(high - low, 1e-9)
        batch = torch.from_numpy(np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))
        if batch.shape[2:] != (about.size, about.size):
            size = (about.size, about.size)
            batch = torch.nn.functional.interpolate(
                batch, size, mode="bilinear", align_corners=False, antialias=True
            )
        out = batch.numpy()
        if about.mean:
            out = out - np.array(about.mean, np.float32)[:, None, None]
        if about.std:
            out = out / np.array(about.std, np.float32)[:, None, None]
        return np.asarray(out, np.float32)

    def _run(self, batch: NDArray[np.float32]) -> Vectors:
        try:
            found = np.asarray(self._session.run(None, {self._input: batch})[0], np.float32)
        except Exception as error:  # onnxruntime raises errors of its own kinds
            raise ModelError(f"{self.name} could not be run on crops {batch.shape} ({error}).") from error
        if self.about.pool and found.ndim == 4:
            found = found.reshape(*found.shape[:2], -1).transpose(0, 2, 1)
        if self.about.pool and found.ndim == 3:
            found = found[:, 0] if self.about.pool == "first" else found.mean(1)
        if found.ndim != 2 or len(found) != len(batch):
            raise ModelError(
                f"{self.name} gives {found.shape} for {len(batch)} crops; (N, d) is needed, or a `pool` in its JSON."
            )
        return found
