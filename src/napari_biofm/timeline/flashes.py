"""Flashes: cells light up in the colour of their event and fade, written in place into one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.colours import class_colours
from napari_biofm.timeline.activity import dense_index
from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.places import CellEvents

STEPS = 15  # levels of fading per class
MOST_CLASSES = 255 // STEPS


class FlashImage:
    """One (Y, X) uint8 image: 0 is dark, else class and level; `colours` says how to show it.

    Between two frames only the pixels of cells whose level changed are written.

    Parameters
    ----------
    labels : (Y, X) label image.
    events : of the cells, sorted by time.
    clock : of the movie.
    decay_s : time constant of fading, seconds.
    """

    def __init__(
        self, labels: NDArray[np.integer[Any]], events: CellEvents, clock: Clock, decay_s: float = 0.3
    ) -> None:
        self.image = np.zeros(labels.shape, np.uint8)
        self.clock = clock
        self.decay_s = decay_s
        self._ids = np.unique(labels[labels > 0]).astype(np.int64)
        flat = dense_index(labels, self._ids).ravel()
        self._pixels = np.argsort(flat, kind="stable")
        counts = np.bincount(flat, minlength=len(self._ids) + 1)
        self._starts, self._counts = np.cumsum(counts) - counts, counts
        self._shown = np.zeros(len(self._ids) + 1, np.uint8)
        self._lit = np.zeros(0, np.int64)
        self.set_events(events)

    def set_events(self, events: CellEvents) -> None:
        """Show other events from the next `show` on."""
        known = events.take(np.isin(events.labels, self._ids))
        self._seconds = known.seconds
        self._cells = np.searchsorted(self._ids, known.labels) + 1
        names, kinds = np.unique(known.classes, return_inverse=True)
        self._kinds = np.minimum(kinds, MOST_CLASSES - 1)
        self._names = names[:MOST_CLASSES]

    @property
    def colours(self) -> NDArray[np.float32]:
        """(256, 4) RGBA in 0..1 for each value of the image."""
        table = np.zeros((256, 4), np.float32)
        table[:, 3] = 1
        for kind, colour in enumerate(class_colours(self._names)):
            fade = np.arange(1, STEPS + 1)[:, None] / STEPS
            table[1 + kind * STEPS : 1 + (kind + 1) * STEPS, :3] = colour[:3] * fade
        return table

    def show(self, frame: int) -> bool:
        """Bring the image to a frame; return whether a pixel changed.

        An event is bright in the frame it falls in and fades by `exp(-age / decay_s)` after it.
        """
        start = self.clock.time_of(frame)
        stop = self.clock.at_frames([frame + 1])[0]
        first, last = np.searchsorted(self._seconds, [start - 4 * self.decay_s, stop])
        recent = slice(int(first), int(last))
        age = np.maximum(start - self._seconds[recent], 0)
        level = np.ceil(STEPS * np.exp(-age / max(self.decay_s, 1e-9)) - 0.3).clip(0, STEPS).astype(np.int64)
        values = np.where(level > 0, self._kinds[recent] * STEPS + level, 0).astype(np.uint8)
        cells = self._cells[recent]
        fresh = np.zeros_like(self._shown)
        fresh[cells] = values  # sorted by time: the latest event of a cell stands
        touched = np.union1d(self._lit, cells)
        changed = touched[fresh[touched] != self._shown[touched]]
        self._lit, self._shown = np.unique(cells), fresh
        if len(changed) == 0:
            return False
        counts = self._counts[changed]
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        pixels = self._pixels[np.repeat(self._starts[changed], counts) + steps]
        self.image.ravel()[pixels] = np.repeat(fresh[changed], counts)
        return True
