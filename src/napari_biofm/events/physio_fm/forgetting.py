"""What a taught head still knows of the events the stock model was made for, told on built-in probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.evaluation import match_events
from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.stock import detect_stock
from napari_biofm.types import DetectionSettings, Trace, run_task


def forgetting_probe(
    runner: NetworkRunner, head: AdaptedHead, probes: Sequence[tuple[Trace, NDArray[np.float64]]]
) -> dict[str, float]:
    """Return how the head does on probes with known events of its kind, beside the stock model.

    Parameters
    ----------
    probes : signals and the times (s) of their events, e.g. `probes.built_in_probes`.

    Returns
    -------
    `events`, `stock` and `adapted` recall at the balanced preset, `forgotten` their difference (0 or more).
    """
    hits, n, near = {"stock": 0, "adapted": 0}, 0, KINDS[head.kind].probe_tolerance_s
    for signal, truth in probes:
        n += len(truth)
        settings = DetectionSettings(kind=cast("Any", head.kind))
        tables = {
            "stock": run_task(detect_stock(runner, signal, settings)),
            "adapted": run_task(head.detect(runner, signal, settings)),
        }
        for name, table in tables.items():
            hits[name] += int(match_events(truth, table["time_s"], table["score"], near).sum())
    stock, adapted = hits["stock"] / max(n, 1), hits["adapted"] / max(n, 1)
    return {"events": n, "stock": stock, "adapted": adapted, "forgotten": max(0.0, stock - adapted)}
