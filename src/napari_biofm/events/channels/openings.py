"""The openings of an idealised recording as events."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.channels.idealization import idealize
from napari_biofm.types import EVENT_DTYPE, Events, Trace, no_events


def opening_events(signal: Trace) -> Events:
    """Return the openings of a recording as events: one row per step to more open channels.

    `time_s` is when the trace is half way, the filter's delay included, as for all other events; `decay_s` holds how
    long the channel count stays at or above the new level.
    """
    ideal = idealize(signal)
    steps = ideal.n_open.astype(int)
    up = np.flatnonzero(np.diff(steps) > 0) + 1
    if not len(up):
        return no_events()
    table = np.zeros(len(up), EVENT_DTYPE)
    table["sweep"], table["channel"], table["unit"] = signal.sweep, signal.channel, signal.unit[:8]
    table["time_s"], table["class"] = up / signal.sampling_rate + ideal.delay_s, "open"
    table["amplitude"] = ideal.levels[steps[up]] - ideal.levels[steps[up - 1]]
    table["rise_s"] = np.nan
    down = np.flatnonzero(np.diff(steps) < 0) + 1
    following = np.searchsorted(down, up)
    ends = np.append(down, len(steps))[following]
    table["decay_s"] = (ends - up) / signal.sampling_rate
    unit, sigma = abs(ideal.levels[1]), float(ideal.noise.mean())
    table["score"] = np.clip(unit / (unit + sigma), 0, 1)
    return table
