"""Traces of the cells of a labels layer in a movie, as a recording of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.signals.calcium import CellTraces, TraceSettings, extract_traces
from napari_biofm.signals.samples import packed
from napari_biofm.widgets.common.viewers import layer_id

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock


class MovieTraces:
    """Keeps the dock's movie panel up to date and carries out what it asks for.

    Parameters
    ----------
    dock : whose panel is served.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        session, layers = dock.session, dock.viewer.layers.events
        dock.movie_panel.asked.connect(self.make)
        for signal in (session.layers_changed, session.clocks_changed, layers.inserted, layers.removed):
            dock.listen(signal, self.layers_changed)
        self.layers_changed()

    def layers_changed(self, *_: Any) -> None:
        """Offer the layers there are, and the frame rate that the session knows."""
        session = self._dock.session
        clock = session.clock(session.image) if session.image else None
        rate = clock.frame_rate if clock is not None and clock.n_frames > 1 else None
        self._dock.movie_panel.update_layers(session.image, session.labels, rate)

    def make(self, movie: Any, masks: Any, frame_rate: float, settings: TraceSettings) -> None:
        """Measure the cells of a labels layer in a movie; the traces become a recording."""
        panel, name = self._dock.movie_panel, movie.name
        labels = np.asarray(masks.data)
        panel.go.setEnabled(False)
        self._dock.run(
            extract_traces, packed(movie.data), labels, frame_rate, settings,
            name=f"Traces of {name}", bound_to=layer_id(masks),
            on_done=lambda traces: self._show(traces, labels, name),
            on_end=lambda: panel.go.setEnabled(True),
        )  # fmt: skip

    def _show(self, traces: CellTraces, labels: Any, name: str) -> None:
        self._dock.movie_panel.message.setText(
            f"{len(traces.labels)} cells, {traces.dff.shape[1]} frames. " + " ".join(traces.warnings)
        )
        self._dock.session.add_recording(traces.recording(labels), f"{name} dF/F")
