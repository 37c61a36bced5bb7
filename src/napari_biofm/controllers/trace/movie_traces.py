"""Traces of the cells of a labels layer in a movie, as a recording of the session."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from psygnal import Signal

from napari_biofm.controllers.common.ports import Listen, RunJob
from napari_biofm.session import Session
from napari_biofm.signals.calcium import CellTraces, TraceSettings, extract_traces
from napari_biofm.signals.samples import packed


class MovieLayers(Protocol):
    """Layers that cells can be measured in and with."""

    def movies(self) -> list[tuple[str, str]]:
        """Return names and ids of images (T, Y, X)."""

    def masks(self) -> list[tuple[str, str]]:
        """Return names and ids of labels (Y, X)."""

    def data(self, uid: str) -> Any:
        """Return the array of a layer, None where it is gone."""


class MovieTraces:
    """Measures the cells of movies.

    Parameters
    ----------
    session : which layers are in play, what their clocks are, and where the traces go.
    layers : of the viewer.
    run : reads the movie.
    listen : hears the session until the dock is gone.
    """

    offered = Signal(list, list, object, object, object)  # movies, masks; ids in play and frame rate, or None
    busy = Signal(bool)
    note = Signal(str)  # what was measured

    def __init__(self, session: Session, *, layers: MovieLayers, run: RunJob, listen: Listen) -> None:
        self._session, self._layers, self._run = session, layers, run
        for signal in (session.layers_changed, session.clocks_changed):
            listen(signal, self.update)

    def update(self, *_: Any) -> None:
        """Offer the layers there are, and the frame rate that the session knows."""
        session = self._session
        clock = session.clock(session.image) if session.image else None
        rate = clock.frame_rate if clock is not None and clock.n_frames > 1 else None
        movies, masks = self._layers.movies(), self._layers.masks()
        self.offered.emit(movies, masks, session.image, session.labels, rate)

    def make(self, movie: str, masks: str, name: str, frame_rate: float, settings: TraceSettings) -> None:
        """Measure the cells of a labels layer in a movie; the traces become a recording.

        Parameters
        ----------
        movie, masks : ids of the layers.
        name : of the movie.
        """
        frames, data = self._layers.data(movie), self._layers.data(masks)
        if frames is None or data is None:
            self.note.emit("This layer was closed: choose another one.")
            return
        labels = np.asarray(data)

        def show(traces: CellTraces) -> None:
            counts = f"{len(traces.labels)} cells, {traces.dff.shape[1]} frames. "
            self.note.emit(counts + " ".join(traces.warnings))
            self._session.add_recording(traces.recording(labels), f"{name} dF/F")

        self.busy.emit(True)
        self._run(
            extract_traces, packed(frames), labels, frame_rate, settings, name=f"Traces of {name}",
            bound_to=masks, on_done=show, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip
