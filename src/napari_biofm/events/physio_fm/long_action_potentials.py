"""Action potentials with a plateau or a slow upstroke, of which the network, taught on short ones, sees the edge at most."""

from __future__ import annotations

from typing import cast

import numpy as np

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.classical.common import scores
from napari_biofm.events.classical.long_action_potentials import LEAST_MV, long_action_potentials
from napari_biofm.types import EVENT_DTYPE, Events, Trace

BESIDE_S = 5e-3  # around the upstroke, in which an event of the network is the same one
SURE = 0.5  # score from which the network's event stays as it is


def with_long_action_potentials(signal: Trace, events: Events) -> Events:
    """Return events with the long action potentials that are not among them; unsure ones at their place give way.

    Parameters
    ----------
    signal : one channel of one sweep. events : action potentials that the network found, in order.
    """
    factor, fs = millivolts(signal.unit), signal.sampling_rate
    keep, more = np.ones(len(events), bool), []
    for one in long_action_potentials(signal):
        start, stop = one.foot / fs - BESIDE_S, one.peak / fs + BESIDE_S
        same = (events["time_s"] >= start) & (events["time_s"] <= stop)
        if (same & (events["score"] >= SURE)).any():
            continue
        keep &= ~same
        row = np.zeros(1, EVENT_DTYPE)
        row["sweep"], row["channel"], row["unit"] = signal.sweep, signal.channel, signal.unit[:8]
        row["time_s"], row["class"], row["score"] = one.peak / fs, "AP", scores(one.amplitude, 0.5 * LEAST_MV)
        row["amplitude"], row["rise_s"], row["decay_s"] = one.amplitude / factor, one.rise / fs, np.nan
        more.append(row)
    if not more:
        return events
    joined = cast("Events", np.concatenate([events[keep], *more]))
    return joined[np.argsort(joined["time_s"], kind="stable")]
