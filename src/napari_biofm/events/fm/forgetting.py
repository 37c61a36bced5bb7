"""What a taught head still knows of the events the stock model was made for, told on built-in probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...types import DetectionSettings, Signal
from .head import AdaptedHead

if TYPE_CHECKING:
    from .model import PhysioFM

TOLERANCE = 5e-3  # s
SECONDS = 3.0  # of each probe: long enough to count, short beside a fit


def built_in_probes(kind: str) -> list[tuple[Signal, NDArray[np.float64]]]:
    """Return simulated recordings of a kind with known events; none for kinds that have no simulator here."""
    from ...simulate import current_clamp, voltage_clamp

    if kind == "psc":
        made = [
            voltage_clamp(SECONDS, 10_000.0, 5.0, share, 1.5, seed=s) for s, share in ((1, 0.0), (2, 1.0))
        ]
    elif kind == "ap":
        made = [current_clamp(np.arange(0.15, SECONDS, 0.21), SECONDS, 20_000.0, seed=3)]
    else:
        return []
    return [(Signal(m.values.astype(np.float32), m.sampling_rate, m.unit), m.event_times) for m in made]


def forgetting_probe(
    model: PhysioFM, head: AdaptedHead, probes: Sequence[tuple[Signal, NDArray[np.float64]]]
) -> dict[str, float]:
    """Return how the head does on probes with known events of its kind, beside the stock model.

    Parameters
    ----------
    probes : signals and the times of their events, e.g. `built_in_probes`.

    Returns
    -------
    `events`, `stock` and `adapted` recall at the balanced preset, `forgotten` their difference (0 or more).
    """
    from ...types import run_task

    hits, n = {"stock": 0, "adapted": 0}, 0
    for signal, truth in probes:
        n += len(truth)
        settings = DetectionSettings(kind=cast("Any", head.kind))
        tables = {
            "stock": run_task(model.detect_stock(signal, settings)),
            "adapted": run_task(head.detect(model, signal, settings)),
        }
        for name, table in tables.items():
            if len(table) and len(truth):
                hits[name] += int((np.abs(truth[:, None] - table["time_s"][None]).min(1) <= TOLERANCE).sum())
    stock, adapted = hits["stock"] / max(n, 1), hits["adapted"] / max(n, 1)
    return {"events": n, "stock": stock, "adapted": adapted, "forgotten": max(0.0, stock - adapted)}
