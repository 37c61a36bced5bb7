"""What the backbone is asked for, one function per head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


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
