"""The only file that touches cellpose (>= 4.1, < 5): its network, transforms, dynamics, training and score.

What another release moves or renames is mended here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.types import Labels, ModelError, SegmentationParameters

if TYPE_CHECKING:
    from torch import nn

TRAINED_DIAMETER = 30.0

# ---------------------------------------------------------------------- the network


def network_class() -> Callable[[], nn.Module]:
    """Return the class of the network in the installed cellpose."""
    try:
        return importlib.import_module("cellpose.vit").CPSAM  # 4.2
    except ImportError:
        return importlib.import_module("cellpose.vit_sam").Transformer  # 4.1


def build(checkpoint: Checkpoint) -> nn.Module:
    """Build the network around a checkpoint's tensors, without filling it with random ones first.

    Raises
    ------
    ModelError
        When the tensors do not fit.
    """
    import torch

    with torch.device("meta"):
        net: Any = network_class()()
    state = {key: value.float() for key, value in checkpoint.state.items()}
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("encoder.blocks."))
    net.encoder.blocks = net.encoder.blocks[:depth]
    for optional in ("diam_mean", "diam_labels"):
        state.setdefault(optional, torch.tensor([TRAINED_DIAMETER]))
    try:
        net.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise ModelError(
            f"{checkpoint.path} does not fit the Cellpose-SAM network ({detail[:200]}); "
            f"it was made by another version or is damaged"
        ) from error
    built: nn.Module = net
    return built


def feature_channels(net: nn.Module) -> int:
    """Return the channels of the encoder's neck."""
    encoder: Any = net.encoder
    return int(encoder.neck[-2].weight.shape[0])


# ---------------------------------------------------------------------- pixels


def normalise(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale every channel from its 1st to its 99th percentile, over the whole stack if it is one."""
    from cellpose import transforms

    return np.asarray(transforms.normalize_img(pixels.copy(), norm3D=True), np.float32)


def resize(image: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Resize (Y, X) or (Y, X, C) linearly to `shape`, (y, x); a single channel stays an axis."""
    from cellpose import transforms

    source = np.ascontiguousarray(image)
    result = transforms.resize_image(source, int(shape[0]), int(shape[1]), no_channels=image.ndim == 2)
    return np.asarray(np.reshape(result, (int(shape[0]), int(shape[1]), *image.shape[2:])), np.float32)


def resize_volume(volume: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Resize (Z, Y, X, C) linearly to `shape`, (z, y, x): first every plane, then along z."""

    def resize_planes(planes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        if planes.shape[1:3] == (height, width):
            return planes
        return np.stack([resize(plane, (height, width)) for plane in planes])

    depth, height, width = shape
    across = resize_planes(volume, height, width).transpose(1, 0, 2, 3)
    return np.asarray(resize_planes(across, depth, width).transpose(1, 0, 2, 3), np.float32)


# ---------------------------------------------------------------------- masks


def masks_of(
    flows: NDArray[np.float32],
    cell_prob: NDArray[np.float32],
    parameters: SegmentationParameters,
    steps: int,
    device: str,
) -> Labels:
    """Follow flows (2, Y, X) or (3, Z, Y, X) for `steps` Euler steps to masks."""
    import torch
    from cellpose import dynamics

    masks = dynamics.resize_and_compute_masks(
        flows,
        cell_prob,
        niter=steps,
        cellprob_threshold=parameters.cellprob_threshold,
        flow_threshold=parameters.flow_threshold,
        do_3D=len(flows) == 3,
        min_size=parameters.min_size,
        device=torch.device("cpu" if device == "mps" else device),
    )
    return np.asarray(masks, np.int32)


def stitch_planes(planes: Labels, threshold: float, min_size: int) -> Labels:
    """Join the masks of neighbouring planes that overlap by more than `threshold` (IoU)."""
    from cellpose import utils

    stitched = utils.stitch3D(planes, stitch_threshold=threshold)
    return np.asarray(utils.fill_holes_and_remove_small_masks(stitched, min_size=min_size), np.int32)


def average_precision(truth: Labels, found: Labels, thresholds: Sequence[float]) -> NDArray[np.int64]:
    """Return true positives, false positives and false negatives, (3, thresholds), of one image."""
    from cellpose import metrics

    _, *counts = metrics.average_precision(truth, found, threshold=list(thresholds))
    return np.asarray([np.atleast_1d(row) for row in counts], np.int64)


# ---------------------------------------------------------------------- training


def train(
    net: nn.Module,
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[Labels],
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    batch: int,
    folder: Path,
    save: Callable[[nn.Module], None],
    save_every: int,
) -> NDArray[np.float64]:
    """Train `net` where it is, with Cellpose's own `train_seg`; return the loss of every epoch.

    Parameters
    ----------
    net : network in float32 on its device, gradients on.
    images : (C, Y, X) float32 with three channels.
    masks : (Y, X) labels.
    folder : for what `train_seg` makes on disk.
    save : called with the network every `save_every` epochs and at the end, instead of the file that
        `train_seg` would pickle.
    """
    from cellpose import dynamics
    from cellpose import train as cellpose_train

    for module in (cellpose_train, dynamics):
        module.trange = range  # its progress bars would write over ours
    trained: Any = net
    if not hasattr(net, "backbone"):
        trained.backbone = "sam_vitl"  # 4.1 knows no other
    trained.save_model = lambda *_: save(net)
    _, losses, _ = cellpose_train.train_seg(
        trained,
        train_data=list(images),
        train_labels=list(masks),
        channel_axis=0,
        batch_size=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        n_epochs=epochs,
        min_train_masks=1,
        save_path=folder,
        save_every=save_every,
        model_name="unused",
        bsize=256,
        nimg_per_epoch=max(len(images), batch),
    )
    return np.asarray(losses, np.float64)
