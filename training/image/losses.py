"""What the backbone is asked for, one function per head."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def attention(
    labels: NDArray[Any], log_diameter: NDArray[Any], usual: float, small: float, touching: float
) -> NDArray[np.float32]:
    """How much every pixel of a crop weighs, so that what is counted as an object counts in the loss.

    Parameters
    ----------
    labels : (S, S) int32. log_diameter : (S, S) log2 of the object's diameter, 0 outside.
    usual : diameter of the usual object. small : the most that a pixel of a small object weighs: objects
        below .8 of the usual diameter gain as the power 1.5 of what they lack.
    touching : weight of pixels within two pixels of two objects (Ronneberger et al., U-Net, 2015).

    Returns
    -------
    (S, S) float32, 1 for most pixels.
    """
    lack = np.maximum(0.8 * usual * 2.0 ** -np.maximum(log_diameter, 1.0), 1.0)
    weight = np.where(labels > 0, np.minimum(lack**1.5, small), 1.0).astype(np.float32)
    window = np.ones((5, 5), np.uint8)
    near = cv2.dilate(np.minimum(weight, small) * (labels > 0).astype(np.float32), window)
    around = np.where(labels > 0, weight, np.maximum(1.0, 0.5 * near))
    highest = cv2.dilate(labels.astype(np.float32), window)
    lowest = cv2.erode(np.where(labels > 0, labels, 2**24).astype(np.float32), window)
    meets = (highest > 0) & (lowest < 2**24) & (highest != lowest)
    return np.asarray(np.where(meets, np.maximum(around, touching), around), np.float32)


def mask_losses(flow: Tensor, cell_prob: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Squared error of flows (mostly inside cells) and cross entropy of cell / background.

    target: flow (B, 2, S, S), inside (B, 1, S, S) 0/1, weight (B, 1, S, S) 0 outside the picture.
    """
    inside, weight = target["inside"], target["weight"]
    share = weight * (inside + 0.1 * (1 - inside))
    error = ((flow - target["flow"]) ** 2).sum(1, keepdim=True)
    flow_loss = (error * share).sum() / (share.sum() + 1)
    entropy = F.binary_cross_entropy_with_logits(cell_prob, inside, reduction="none")
    return flow_loss, (entropy * weight).sum() / (weight.sum() + 1)


def scale_loss(log_diameter: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Robust error of log2 diameter at every quarter-resolution position inside a cell."""
    wanted = target["log_diameter"][:, :, 2::4, 2::4]
    where = (wanted > 0).float()
    error = F.smooth_l1_loss(log_diameter, wanted, reduction="none", beta=0.3)
    return (error * where).sum() / (where.sum() + 1)


def pair_loss(first: Tensor, second: Tensor, others: Tensor, temperature: float = 0.2) -> Tensor:
    """Contrast two views of each cell with all other cells (NT-Xent, Chen et al. 2020).

    first, second : (n, d) unit vectors of the two views; others : (m, d) unit vectors of earlier cells.
    """
    keys = torch.cat([second, others]) if len(others) else second
    logits = first @ keys.T / temperature
    return F.cross_entropy(logits, torch.arange(len(first), device=first.device))
