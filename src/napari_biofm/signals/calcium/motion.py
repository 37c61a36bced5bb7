"""Whether the field moves: means of short spans against the first, each from two halves that must agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.shifts import ShiftFinder

_MOST_SPANS = 120
_AGREE = 1.0  # pixels between the two halves of a span
LEAST_TOLD = 1.0  # pixels


class MotionCheck:
    """Sums even and odd frames of spans as the movie streams by.

    A picture without structure matches noise anywhere, but never twice at the same place: a span counts only where
    the mean of its even frames and that of its odd frames tell the same shift.

    Parameters
    ----------
    n_frames : of the movie.
    shape : (Y, X).
    frame_rate : Hz.
    template : (pixels,) stands in where a frame has no numbers.
    """

    def __init__(
        self, n_frames: int, shape: tuple[int, int], frame_rate: float, template: NDArray[np.float32]
    ) -> None:
        span = int(np.clip(2 * frame_rate, 4, max(n_frames // 8, 4)))
        self._span = max(span, -(-n_frames // _MOST_SPANS))
        self._shape, self._template = shape, np.nan_to_num(template)
        self._sums = np.zeros((2, self._template.size), np.float32)
        self._counts = np.zeros(2)
        self._first: tuple[ShiftFinder, ShiftFinder] | None = None
        self.frames: list[int] = []
        self.shifts: list[tuple[float, float]] = []
        self.checked = 0

    def look(self, start: int, pixels: NDArray[np.float32], finite: NDArray[np.bool_] | None) -> None:
        """Take in the frames (n, pixels) from `start` on; 0 where `finite` says there is no number."""
        at = 0
        while at < len(pixels):
            frame = start + at
            stop = min(len(pixels), at + self._span - frame % self._span)
            for half in (0, 1):
                these = np.arange(at + (half - frame) % 2, stop, 2)
                if not these.size:
                    continue
                self._sums[half] += pixels[these].sum(axis=0)
                if finite is not None:
                    self._sums[half] += (~finite[these]).sum(axis=0) * self._template
                self._counts[half] += these.size
            at = stop
            if (start + at) % self._span == 0:
                self._close(start + at - self._span // 2)

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the middle frames (m,) of the spans whose shift is sure, and the shifts (m, 2), y and x pixels."""
        return np.array(self.frames, np.int64), np.array(self.shifts, np.float32).reshape(-1, 2)

    def _close(self, middle: int) -> None:
        if not self._counts.all():
            return
        even, odd = ((s / n).reshape(self._shape) for s, n in zip(self._sums, self._counts, strict=True))
        self._sums[:], self._counts[:] = 0, 0
        self.checked += 1
        if self._first is None:
            self._first = ShiftFinder(even), ShiftFinder(odd)
            self.frames.append(middle)
            self.shifts.append((0.0, 0.0))
            return
        # four independent pairs: even and odd frames of then against even and odd frames of now
        found = np.array([finder.find(half) for finder in self._first for half in (even, odd)])
        shift = np.median(found, axis=0)
        if np.abs(found - shift).max() <= _AGREE:
            self.frames.append(middle)
            self.shifts.append((float(shift[0]), float(shift[1])))


def motion_in_words(check: MotionCheck) -> str:
    """Return what the user should know of the motion; "" without any."""
    shifts = np.array(check.shifts)
    if len(shifts) < 2:
        return ""
    far = np.hypot(*(shifts - np.median(shifts, axis=0)).T)
    whole = float(np.hypot(*np.ptp(shifts, axis=0)))
    if whole < LEAST_TOLD or far.max() < LEAST_TOLD / 2:
        return ""
    return (
        f"The field moves by up to {whole:.1f} pixels: correct the motion (napari-biofm motion) before trusting small "
        "events."
    )
