"""Cells that light up: activity and flashes of events as one image, painted anew when the frame changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_biofm.events.colours import CLASS_COLOURS, class_colours
from napari_biofm.timeline.activity import CellLevels, dense_index
from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.timeline.clock import Clock

ACTIVITY = 120  # values 1 to 120 are activity, dark to bright; those above are flashes
STEPS = 15  # levels of fading per colour
# After the colormap "inferno" at five places; between them it is interpolated.
GLOW = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32) / 255


class ActivityOverlay:
    """One (Y, X) uint8 image of all cells in one frame: how bright each is, and which event it flashes.

    The value of a cell is one byte; a frame is painted by looking up the byte of every pixel's cell. A cell
    that flashes shows its event as long as the flash is brighter than its activity.

    Parameters
    ----------
    labels : (Y, X) label image.
    clock : of the movie.
    levels : brightness of cells in each frame, None to show none.
    events : of the cells, sorted by time, None to flash none.
    decay_s : time constant of fading, seconds.
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        clock: Clock,
        levels: CellLevels | None = None,
        events: CellEvents | None = None,
        decay_s: float = 0.3,
    ) -> None:
        self.clock = clock
        self.decay_s = decay_s
        self.image = np.zeros(labels.shape, np.uint8)
        self._ids = np.unique(labels[labels > 0]).astype(np.int64)
        self._index = np.ascontiguousarray(dense_index(labels, self._ids))
        self._palette = sorted({*CLASS_COLOURS.values(), "other"})
        self._steps = min(STEPS, (255 - ACTIVITY) // len(self._palette))
        self._shown = np.zeros(len(self._ids) + 1, np.uint8)
        self.set_levels(levels)
        self.set_events(events)

    def set_levels(self, levels: CellLevels | None) -> None:
        """Show other activity from the next `show` on."""
        self._levels = levels
        if levels is None or len(levels.labels) == 0:
            self._levels = None
            return
        place = np.minimum(np.searchsorted(levels.labels, self._ids), len(levels.labels) - 1)
        known = levels.labels[place] == self._ids
        # Column of each cell, the background's own for cells without a trace.
        self._columns = np.concatenate([[0], np.where(known, place + 1, 0)])
        self._scale = np.ceil(np.arange(256) * (ACTIVITY / 255)).astype(np.uint8)

    def set_events(self, events: CellEvents | None) -> None:
        """Flash other events from the next `show` on."""
        self._seconds = np.zeros(0)
        if events is None:
            return
        known = events.take(np.isin(events.labels, self._ids))
        self._seconds = known.seconds
        self._cells = np.searchsorted(self._ids, known.labels) + 1
        names, kinds = np.unique(known.classes, return_inverse=True)
        colours = [self._palette.index(CLASS_COLOURS.get(str(name), "other")) for name in names]
        self._kinds = np.array(colours, np.int64)[kinds] if len(names) else np.zeros(0, np.int64)

    @property
    def n_cells(self) -> int:
        """Number of cells in the image."""
        return len(self._ids)

    @property
    def colours(self) -> NDArray[np.float32]:
        """(256, 4) RGBA in 0..1 for each value of the image."""
        table = np.zeros((256, 4), np.float32)
        table[:, 3] = 1
        at = np.linspace(0, len(GLOW) - 1, ACTIVITY)
        for channel in range(3):
            table[1 : ACTIVITY + 1, channel] = np.interp(at, np.arange(len(GLOW)), GLOW[:, channel])
        names = {colour: name for name, colour in CLASS_COLOURS.items()}
        for kind, colour in enumerate(self._palette):
            bright = class_colours(np.array([names.get(colour, "other")]))[0]
            fade = np.arange(1, self._steps + 1)[:, None] / self._steps
            first = 1 + ACTIVITY + kind * self._steps
            table[first : first + self._steps, :3] = bright[:3] * fade
        return table

    def show(self, frame: int) -> bool:
        """Bring the image to a frame; return whether anything changed.

        An event is bright in the frame it falls in and fades by `exp(-age / decay_s)` after it.
        """
        values = self._values(frame)
        if np.array_equal(values, self._shown):
            return False
        self._shown = values
        _paint(values, self._index.ravel(), self.image.ravel())
        return True

    def _values(self, frame: int) -> NDArray[np.uint8]:
        """Return (n_cells + 1,) the byte of each cell in a frame; the background's is 0."""
        values = np.zeros(len(self._ids) + 1, np.uint8)
        if self._levels is not None:
            row = self._levels.levels[min(max(frame, 0), len(self._levels.levels) - 1)]
            values = self._scale[row[self._columns]]
        start = self.clock.time_of(frame)
        stop = float(self.clock.at_frames([frame + 1])[0])
        first, last = np.searchsorted(self._seconds, [start - 4 * self.decay_s, stop])
        if last > first:
            age = np.maximum(start - self._seconds[first:last], 0)
            level = np.ceil(self._steps * np.exp(-age / max(self.decay_s, 1e-9)) - 0.3).astype(np.int64)
            level = np.clip(level, 0, self._steps)
            cells = self._cells[first:last]
            # Where the activity is the brighter of the two, it stays.
            lit = (level > 0) & (level * ACTIVITY >= values[cells].astype(np.int64) * self._steps)
            flash = ACTIVITY + self._kinds[first:last] * self._steps + level
            values[cells[lit]] = flash[lit]  # sorted by time: the latest event of a cell stands
        return values


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _paint(values: Any, index: Any, image: Any) -> None:
    """Write the value of each pixel's cell into the image: a third of the time of `np.take`."""
    for i in range(index.size):
        image[i] = values[index[i]]
