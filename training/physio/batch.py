"""Windows -> tensors: what the network sees and what it is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from napari_biofm.events.physio_fm.input_encoding import PATCH, TOKEN_KINDS, UNITS, encode_input
from napari_biofm.events.physio_fm.network import FAULTS

from .backgrounds import Backgrounds
from .real import Real
from .simulators.ap import draw_ap
from .simulators.calcium import draw_calcium
from .simulators.channel import draw_channel
from .simulators.crop import LENGTH, Crop
from .simulators.ecg import draw_ecg
from .simulators.psc import draw_psc
from .simulators.psp import draw_psp
from .simulators.spike import draw_spike

SPREAD = {
    "psc": 6.0,
    "ap": 3.0,
    "calcium": 4.0,
    "channel": 2.0,
    "spike": 3.0,
    "ecg": 4.0,
}  # of the heat, samples
MOST_EVENTS = 64


def draw(
    rng: np.random.Generator,
    real: Real | None,
    mix: dict[str, float],
    real_share: dict[str, float],
    behind: Backgrounds | None = None,
) -> Crop:
    """Draw one window: a kind by `mix`, real instead of simulated by `real_share`, over real backgrounds."""
    kind = rng.choice(list(mix), p=np.array(list(mix.values())) / sum(mix.values()))
    if real is not None and rng.random() < real_share.get(kind, 0.0):
        return {"ap": real.ap, "calcium": real.calcium, "ecg": real.ecg, "psc": real.clamp}[kind](rng)
    spectra = real.spectra if real is not None else None
    if kind == "psc":
        return draw_psc(rng, spectra, behind.current if behind is not None else None)
    if kind == "psp":
        return draw_psp(rng, spectra)
    if kind == "spike":
        return draw_spike(rng, behind.spike if behind is not None else None)
    return {"ap": draw_ap, "calcium": draw_calcium, "channel": draw_channel, "ecg": draw_ecg}[kind](rng)


def tell(rng: np.random.Generator, crop: Crop) -> tuple[str, int | None, tuple[str, ...] | None]:
    """Decide what the network is told: unit (sometimes wrong or missing), kind (sometimes not)."""
    unit, found = crop.unit, crop.faults
    kind: int | None = TOKEN_KINDS.index(crop.kind)
    if crop.kind == "psc" and unit == "mV":  # synaptic potentials: as at inference
        return "other", kind, found
    if rng.random() < 0.3:
        kind = None
    if unit != "other" and rng.random() < 0.08:
        unit = "other"
        factor = np.float32(10 ** rng.uniform(-3, 3))
        crop.x = crop.x * factor
        crop.amplitude = crop.amplitude * factor
        crop.clean = None if crop.clean is None else crop.clean * factor
    elif unit in ("pA", "mV") and rng.random() < 0.03:
        unit = "mV" if unit == "pA" else "pA"
        found = (*(found or ()), "wrong unit")
    return unit, kind, found


def make_batch(
    rng: np.random.Generator,
    size: int,
    real: Real | None,
    mix: dict[str, float],
    real_share: dict[str, float],
    behind: Backgrounds | None = None,
) -> dict[str, torch.Tensor]:
    """Draw `size` windows and return inputs and targets as tensors."""
    rows: list[dict[str, Any]] = []
    for _ in range(size):
        crop = draw(rng, real, mix, real_share, behind)
        crop.x = np.nan_to_num(crop.x)
        unit, kind, found = tell(rng, crop)
        inputs, tokens, _, scale = encode_input(crop.x[None], crop.sampling_rate, unit, kind)
        rows.append(
            targets(crop, float(scale[0]), kind is None, found) | {"inputs": inputs[0], "tokens": tokens[0]}
        )
        assert unit in UNITS
    return {k: torch.from_numpy(np.stack([r[k] for r in rows])) for k in rows[0]}


def targets(crop: Crop, scale: float, untold: bool, found: tuple[str, ...] | None) -> dict[str, Any]:
    """Return the labels of one window as arrays."""
    grid = np.arange(LENGTH)
    heat = np.zeros((LENGTH, 2), np.float32)
    weight = np.full(LENGTH, float(crop.labelled), np.float32)
    spread = SPREAD[crop.kind]
    for column, places in ((0, crop.time), (1, crop.artefacts)):
        for t in places:
            a, b = max(0, int(t - 4 * spread)), min(LENGTH, int(t + 4 * spread) + 2)
            if b > a:
                np.maximum(
                    heat[a:b, column], np.exp(-0.5 * ((grid[a:b] - t) / spread) ** 2), out=heat[a:b, column]
                )
    for a, b in crop.ignore:
        weight[max(0, int(a)) : max(0, int(b))] = 0
    n = min(len(crop.time), MOST_EVENTS)
    token = np.zeros(MOST_EVENTS, np.int64)
    values = np.full((MOST_EVENTS, 4), np.nan, np.float32)
    klass = np.full(MOST_EVENTS, -1, np.int64)
    token[:n] = np.clip(crop.time[:n] // PATCH, 0, LENGTH // PATCH - 1)
    values[:n, 0] = np.arcsinh(crop.amplitude[:n] / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        values[:n, 1] = np.log10(crop.rise[:n]) + 3
        values[:n, 2] = np.log10(crop.decay[:n]) + 2
    values[:n, 3] = np.where(np.isnan(crop.amplitude[:n]), np.nan, crop.amplitude[:n] > 0)
    klass[:n] = crop.klass[:n]
    clean = np.full(LENGTH, np.nan, np.float32)
    if crop.clean is not None:
        base = np.median(crop.clean) if crop.kind == "ap" else 0.0
        clean = np.arcsinh((crop.clean - base) / scale).astype(np.float32)
    faults = np.full(len(FAULTS), np.nan, np.float32)
    if found is not None:
        faults = np.array([f in found for f in FAULTS], np.float32)
    return {
        "heat": heat,
        "weight": weight,
        "token": token,
        "values": values,
        "klass": klass,
        "clean": clean,
        "spikes": np.full(LENGTH, np.nan, np.float32) if crop.spikes is None else crop.spikes,
        "faults": faults,
        "kind": np.int64(TOKEN_KINDS.index(crop.kind) if untold else -1),
        "truth": np.int64(TOKEN_KINDS.index(crop.kind)),
        "rhythm": np.int64(crop.rhythm),
    }
