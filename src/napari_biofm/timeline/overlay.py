"""Events as image data: where and in which frame each one shows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.clock import Clock
from napari_biofm.types import Events

NOT_SHOWN = ("artefact", "rejected")


def event_points(
    events: Events,
    clock: Clock,
    centre_of: Mapping[int, tuple[float, float]],
    hold_s: float = 0.25,
    seconds: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Place events on the frames of a movie.

    Parameters
    ----------
    events : table of EVENT_DTYPE. Rows of class "artefact" and "rejected" and events outside the movie
        are left out.
    clock : of the movie.
    centre_of : (y, x) of the cell each channel is linked to; unlinked channels are left out.
    hold_s : how long an event stays visible; it shows in the frame it falls in and in those that
        begin within `hold_s` after it.
    seconds : (n_events,) when each happened on the clock's time axis, see `event_seconds`; `time_s` of
        the table when not given.

    Returns
    -------
    points : (n, 3) float64, t (frame), y, x.
    rows : (n,) index into `events` of each point.
    """
    when = events["time_s"] if seconds is None else np.asarray(seconds, float)
    wanted = ~np.isin(events["class"], NOT_SHOWN) & clock.covers(when)
    wanted &= np.isin(events["channel"], list(centre_of))
    index = np.flatnonzero(wanted)
    if len(index) == 0:
        return np.zeros((0, 3)), np.zeros(0, np.intp)
    frames, which = visible_frames(when[index], clock, hold_s)
    rows = index[which]
    lookup = np.zeros((max(centre_of) + 1, 2))
    lookup[list(centre_of)] = list(centre_of.values())
    return np.column_stack([frames, lookup[events["channel"][rows]]]), rows


def visible_frames(
    seconds: NDArray[np.float64], clock: Clock, hold_s: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the frames in which events show: the one each falls in and those begun within `hold_s`.

    Parameters
    ----------
    seconds : (n,) times inside the movie.
    clock : of the movie.
    hold_s : seconds.

    Returns
    -------
    frames, which : (m,) frame, and the index into `seconds` it belongs to.
    """
    first, last = clock.frames_at(seconds), clock.frames_at(seconds + hold_s)
    counts = last - first + 1
    which = np.repeat(np.arange(len(seconds)), counts)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + steps, which
