"""The y axes of the rows: how they relate, how far each is stretched, and what fits into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_biofm.widgets.trace.layout import ScaleMode, y_ranges
from napari_biofm.widgets.trace.lines import TraceLines
from napari_biofm.widgets.trace.rows import Row


class Heights:
    """Fits the y axes of rows to what is drawn.

    Attributes
    ----------
    mode : how the axes of channels relate.
    gains : per channel, how far it is stretched beyond fitting.
    """

    def __init__(self) -> None:
        self.mode = ScaleMode.BY_CHANNEL
        self.gains: dict[int, float] = {}

    def fit(self, rows: Sequence[Row], lines: TraceLines, start: float, stop: float) -> None:
        """Fit the rows to what lies between two places on the time axis."""
        recording = lines.recording
        if recording is None:
            return
        extrema = [lines.extrema(row.channel, start, stop) for row in rows]
        ranges = y_ranges(extrema, [recording.channels[r.channel].unit for r in rows], self.mode)
        for row, (low, high) in zip(rows, ranges, strict=True):
            _centre(row, low, high, self.gains.get(row.channel, 1.0))

    def stretch(self, row: Row, factor: float) -> None:
        """Stretch a row about its middle."""
        self.gains[row.channel] = self.gains.get(row.channel, 1.0) * factor
        low, high = row.view.viewRange()[1]
        _centre(row, low, high, factor)

    @staticmethod
    def fit_command(row: Row, lines: TraceLines) -> None:
        """Fit the row of the command to all levels of the sweeps that are drawn."""
        values = np.concatenate([lines.stimulus(row.channel).values, lines.stimuli(row.channel).values])
        if not np.isfinite(values).any():
            return
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = 0.1 * (high - low) or max(abs(low) * 0.1, 1.0)
        row.view.setYRange(low - margin, high + margin, padding=0)


def _centre(row: Row, low: float, high: float, gain: float) -> None:
    middle, half = (low + high) / 2, (high - low) / 2 / gain
    row.view.setYRange(middle - half, middle + half, padding=0)
