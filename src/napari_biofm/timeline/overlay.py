"""Events as image data: where and in which frame each one shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.clock import Clock
from napari_biofm.types import Events


def event_points(
    events: Events, clock: Clock, centre_of: Mapping[int, tuple[float, float]], hold_s: float = 0.25
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Place events on the frames of a movie.

    Parameters
    ----------
    events : table of EVENT_DTYPE; `time_s` on the clock's time axis. Rows of class "artefact" and
        "rejected" and events outside the movie are left out.
    clock : of the movie.
    centre_of : (y, x) of the cell each channel is linked to; unlinked channels are left out.
    hold_s : how long an event stays visible; it shows in the frame it falls in and in those that
        begin within `hold_s` after it.

    Returns
    -------
    points : (n, 3) float64, t (frame), y, x.
    rows : (n,) index into `events` of each point.
    """
    wanted = ~np.isin(events["class"], ("artefact", "rejected")) & clock.covers(events["time_s"])
    wanted &= np.isin(events["channel"], list(centre_of))
    index = np.flatnonzero(wanted)
    if len(index) == 0:
        return np.zeros((0, 3)), np.zeros(0, np.intp)
    times = events["time_s"][index]
    first, last = clock.frames_at(times), clock.frames_at(times + hold_s)
    counts = last - first + 1
    rows = np.repeat(index, counts)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    frames = np.repeat(first, counts) + steps
    centres = np.array([centre_of[int(c)] for c in events["channel"][rows]], float)
    return np.column_stack([frames, centres]), rows
