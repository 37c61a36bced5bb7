"""Events of cells on the frames of a movie, window by window: what a Points layer holds at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.colours import class_colours
from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.overlay import visible_frames

MOST_POINTS = 20_000  # that napari slices in no time; of more, those around the shown frame are kept


@dataclass(frozen=True, eq=False)
class PlacedPoints:
    """Points to be shown: (n, 3) frame, y, x; (n, 4) colours; one column of features per name."""

    data: NDArray[np.float64]
    colours: NDArray[np.float32]
    features: dict[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class EventPlaces:
    """Where events show, and for how long.

    Attributes
    ----------
    events : those that fall into the movie and on a cell.
    frames, which : (n,) frame, ascending, and the index into `events` that shows in it.
    centres : (n_events, 2) y, x.
    clock : of the movie.
    hold_s : seconds until an event has faded.
    n_frames : of the movie.
    """

    events: CellEvents
    frames: NDArray[np.intp]
    which: NDArray[np.intp]
    centres: NDArray[np.float64]
    clock: Clock
    hold_s: float
    n_frames: int

    @classmethod
    def of(
        cls,
        events: CellEvents,
        centres: Mapping[int, tuple[float, float]],
        clock: Clock,
        hold_s: float,
        n_frames: int,
    ) -> EventPlaces:
        """Place events of cells at their centres (y, x), from the frame each falls in."""
        shown = events.take(np.isin(events.labels, list(centres)) & clock.covers(events.seconds))
        frames, which = visible_frames(shown.seconds, clock, hold_s)
        order = np.argsort(frames, kind="stable")
        order = order[: np.searchsorted(frames[order], n_frames)]
        lookup = np.zeros((max(centres, default=0) + 1, 2))
        lookup[list(centres)] = np.array(list(centres.values())).reshape(-1, 2)
        return cls(shown, frames[order], which[order], lookup[shown.labels], clock, hold_s, n_frames)

    def window(self, frame: int) -> tuple[int, int]:
        """Return the frames around one whose events are few enough to be shown at once, the last not counted.

        A jump of the slider reads a new window each time, so a window holds a twentieth of what would go.
        """
        if len(self.frames) <= MOST_POINTS:
            return 0, self.n_frames
        per_frame = max(len(self.frames) / max(self.n_frames, 1), 1e-9)
        reach = max(int(MOST_POINTS / 20 / per_frame), 1)
        return max(frame - reach // 4, 0), frame + reach

    def points(self, window: tuple[int, int]) -> PlacedPoints:
        """Return the points of the frames of a window, in the colour of their class, fading with their age."""
        rows = slice(*np.searchsorted(self.frames, window))
        frames, which = self.frames[rows], self.which[rows]
        events = self.events
        age = np.maximum(self.clock.times[frames] - events.seconds[which], 0)
        colours = class_colours(events.classes[which])
        colours[:, 3] = 0.25 + 0.75 * np.exp(-2 * age / max(self.hold_s, 1e-9))
        features: dict[str, NDArray[np.generic]] = {
            "class": events.classes[which],
            "label": events.labels[which],
            "time_s": events.seconds[which],
            "recording": np.array(events.recordings)[events.source[which]],
            "row": events.rows[which],
        }
        return PlacedPoints(np.column_stack([frames, self.centres[which]]), colours, features)
