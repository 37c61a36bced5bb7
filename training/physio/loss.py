"""What the network is asked to be good at, one number per head and their weighted sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from napari_biofm.events.physio_fm.input_encoding import CLASSES, PATCH, TOKEN_KINDS
from napari_biofm.events.physio_fm.network import FAULTS

WEIGHTS = {
    "heat": 25.0,
    "artefact": 12.0,
    "clean": 1.0,
    "spikes": 8.0,
    "hidden": 0.5,
    "values": 0.3,
    "klass": 0.2,
    "kind": 0.2,
    "faults": 0.1,
    "rhythm": 0.1,
}


def losses(out: dict[str, Tensor], batch: dict[str, Tensor], hidden: Tensor | None) -> dict[str, Tensor]:
    """Return the loss of every head that has labels in this batch.

    Heat is a binary cross-entropy against a soft peak, so that its height is a probability; spikes are a
    Poisson likelihood, so that the rate is calibrated; the denoised trace is compared in asinh units.
    """
    sample, found = out["sample"], {}
    eventful = batch["truth"] != TOKEN_KINDS.index("channel")
    weight = batch["weight"] * eventful[:, None]
    bce = F.binary_cross_entropy_with_logits(sample[..., :2], batch["heat"], reduction="none")
    # the entropy of the soft label is no fault of the network
    floor = F.binary_cross_entropy(batch["heat"], batch["heat"], reduction="none")
    excess = (bce - floor) * weight[..., None]
    found["heat"] = excess[..., 0].sum() / weight.sum().clamp(min=1)
    found["artefact"] = excess[..., 1].sum() / weight.sum().clamp(min=1)
    known = torch.isfinite(batch["clean"])
    if known.any():
        found["clean"] = F.smooth_l1_loss(sample[..., 2][known], batch["clean"][known], beta=0.2)
    counted = torch.isfinite(batch["spikes"]) & (batch["weight"] > 0)
    if counted.any():
        log_rate = sample[..., 3][counted].clamp(-14, 5)
        found["spikes"] = (log_rate.exp() - batch["spikes"][counted] * log_rate).mean()
    if hidden is not None:
        where = hidden.repeat_interleave(PATCH, 1)
        found["hidden"] = F.smooth_l1_loss(sample[..., 4][where], batch["inputs"][:, 0][where], beta=0.2)
    index = batch["token"].unsqueeze(-1).expand(-1, -1, out["token"].shape[-1])
    token = out["token"].gather(1, index)
    values, klass = batch["values"], batch["klass"]
    for k in range(3):
        is_known = torch.isfinite(values[..., k])
        if is_known.any():
            term = F.smooth_l1_loss(token[..., k][is_known], values[..., k][is_known], beta=0.2)
            found["values"] = found.get("values", 0) + term
    signed = torch.isfinite(values[..., 3])
    if signed.any():
        term = F.binary_cross_entropy_with_logits(token[..., 3][signed], values[..., 3][signed])
        found["values"] = found.get("values", 0) + term
    if (klass >= 0).any():
        found["klass"] = F.cross_entropy(token[..., 4 : 4 + len(CLASSES)][klass >= 0], klass[klass >= 0])
    kinds, faults, rhythm = out["window"].split(
        [len(TOKEN_KINDS), len(FAULTS), out["window"].shape[1] - len(TOKEN_KINDS) - len(FAULTS)], 1
    )
    if (batch["kind"] >= 0).any():
        found["kind"] = F.cross_entropy(kinds[batch["kind"] >= 0], batch["kind"][batch["kind"] >= 0])
    told = torch.isfinite(batch["faults"])
    if told.any():
        found["faults"] = F.binary_cross_entropy_with_logits(faults[told], batch["faults"][told])
    if (batch["rhythm"] >= 0).any():
        found["rhythm"] = F.cross_entropy(rhythm[batch["rhythm"] >= 0], batch["rhythm"][batch["rhythm"] >= 0])
    return found


def total(found: dict[str, Tensor]) -> Tensor:
    """Return the weighted sum."""
    return torch.stack([WEIGHTS[k] * v for k, v in found.items()]).sum()
