"""Traces of the cells of a labels layer in a movie, as a recording of the session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from psygnal import Signal

from napari_biofm.controllers.common.ports import Listen, RunJob
from napari_biofm.controllers.common.volume_layers import VOLUMES
from napari_biofm.images.io.nifti import Volumes, canonical, check_space
from napari_biofm.images.motion.apply import CorrectedMovie
from napari_biofm.images.motion.estimate import estimate_motion
from napari_biofm.images.motion.settings import Mode, Motion, MotionSettings
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.calcium import CellTraces, TraceSettings, extract_traces
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.signals.samples import packed, unpacked
from napari_biofm.timeline.metadata import chosen_rate
from napari_biofm.timeline.region_traces import measure_regions
from napari_biofm.types import ImageError, Task

NEXT = "Analyse, Connectivity takes out confounds and keeps a band of frequencies."


class MovieLayers(Protocol):
    """Layers that cells can be measured in and with."""

    def movies(self) -> list[tuple[str, str]]:
        """Return names and ids of movies (T, Y, X); a layer of several channels holds several."""

    def masks(self) -> list[tuple[str, str]]:
        """Return names and ids of labels."""

    def frames(self, uid: str) -> Any:
        """Return the frames (T, Y, X) of a movie, None where it is gone."""

    def plane(self, uid: str) -> Any:
        """Return the plane (Y, X) of masks that is shown, None where it is gone."""

    def rate(self, uid: str) -> float | None:
        """Return the frame rate (Hz) that a movie or its file states, None where neither does."""

    def dark(self, uid: str) -> float | None:
        """Return the dark level that a movie or its file states, None where neither does."""

    def layer_and_part(self, uid: str) -> tuple[str, str]:
        """Return the id of the layer of a movie, and which channel or plane of it is meant."""

    def volumes(self, uid: str) -> Volumes | None:
        """Return the series of volumes that a movie is, None where it is a plane over time."""

    def atlas(self, uid: str) -> tuple[Volumes, Mapping[int, str]] | None:
        """Return labels (x, y, z) and the names of their regions, None where they have no such axes."""

    def add_movie(self, frames: Any, name: str, like: str) -> None:
        """Add frames (T, Y, X) as a layer that lies where the movie `like` does."""


def motion_of(frames: Any, settings: MotionSettings) -> Task[Motion]:
    """Measure the motion of a movie, mapped again where it was mapped."""
    return (yield from estimate_motion(unpacked(frames), settings))


class MovieTraces:
    """Measures the cells of movies.

    Parameters
    ----------
    session : which layers are in play, what their clocks are, and where the traces go.
    layers : of the viewer.
    run : reads the movie.
    listen : hears the session until the dock is gone.
    """

    offered = Signal(list, list, object, object, object)  # movies, masks; ids in play; frame rates by movie
    busy = Signal(bool)
    note = Signal(str)  # what was measured

    def __init__(self, session: Session, *, layers: MovieLayers, run: RunJob, listen: Listen) -> None:
        self._session, self._layers, self._run = session, layers, run
        for signal in (session.layers_changed, session.clocks_changed):
            listen(signal, self.update)

    def update(self, *_: Any) -> None:
        """Offer the layers there are, and the frame rates that clocks and files say."""
        session = self._session
        movies, masks = self._layers.movies(), self._layers.masks()
        rates = {uid: self._rate(uid, None)[0] for _, uid in movies}
        self.offered.emit(movies, masks, session.image, session.labels, rates)

    def make(
        self, movie: str, masks: str, name: str, typed_rate: float | None, settings: TraceSettings
    ) -> None:
        """Measure the cells of a labels layer in a movie; the traces become a recording.

        Traces measured before on the same movie and masks are replaced.

        Parameters
        ----------
        movie, masks : ids of the movie and of the layer.
        name : of the movie.
        typed_rate : Hz, None where the user typed none.
        settings : of the traces.
        """
        if self._layers.volumes(movie) is not None:
            self._make_regions(movie, masks, name, typed_rate)
            return
        frames, labels = self._layers.frames(movie), self._layers.plane(masks)
        if frames is None or labels is None:
            self.note.emit("This layer was closed: choose another one.")
            return
        rate, said = self._rate(movie, typed_rate)
        if rate is None:
            self.note.emit("Type the frame rate of the movie first: it is never guessed.")
            return
        dark = self._layers.dark(movie)
        if settings.dark_level is None and dark is not None:
            settings = dataclasses.replace(settings, dark_level=dark, dark_source="of the movie's file")
        labels = np.asarray(labels)
        layer, part = self._layers.layer_and_part(movie)
        on = MeasuredOn(layer, masks, part)

        def show(traces: CellTraces) -> None:
            counts = f"{len(traces.labels)} cells, {traces.dff.shape[1]} frames."
            recording = dataclasses.replace(traces.recording(labels, name), measured_on=on)
            self._session.put_traces(recording, f"{name} dF/F")
            self.note.emit(" ".join(one for one in (counts, said, *traces.warnings) if one))

        self.busy.emit(True)
        self._run(
            extract_traces, packed(frames), labels, rate, settings, name=f"Traces of {name}",
            bound_to=masks, on_done=show, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def _make_regions(self, movie: str, atlas: str, name: str, typed_rate: float | None) -> None:
        """Measure the regions of an atlas in a series of volumes; the traces become a recording."""
        series, labels = self._layers.volumes(movie), self._layers.atlas(atlas)
        if series is None or labels is None:
            self.note.emit("Choose the labels (z, y, x) of an atlas on the grid of the volumes.")
            return
        rate, said = self._rate(movie, typed_rate)
        if rate is None:
            self.note.emit("Type the number of volumes per second first: it is never guessed.")
            return
        try:
            check_space(canonical(series), canonical(labels[0]))
        except ImageError as error:
            self.note.emit(str(error))
            return
        on = MeasuredOn(self._layers.layer_and_part(movie)[0], atlas, VOLUMES)

        def show(recording: Recording) -> None:
            self._session.put_traces(recording, f"{name} regions")
            counts = f"{recording.n_channels} regions, {recording.n_samples(0, 0)} volumes."
            self.note.emit(" ".join(one for one in (counts, said, NEXT) if one))

        self.busy.emit(True)
        self._run(
            measure_regions, series.values, labels[0].values, (series.affine, labels[0].affine), rate, name, labels[1],
            on, name=f"Regions of {name}", bound_to=atlas, on_done=show, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def correct(self, movie: str, name: str, mode: Mode) -> None:
        """Measure the motion of a movie; the corrected movie becomes a layer.

        Parameters
        ----------
        movie : id.
        name : of the movie.
        mode : how it moves.
        """
        if self._layers.volumes(movie) is not None:
            self.note.emit(
                "Volumes are corrected for motion before (fMRIPrep, FSL): give its table as confounds."
            )
            return
        frames = self._layers.frames(movie)
        if frames is None:
            self.note.emit("This layer was closed: choose another one.")
            return

        def show(motion: Motion) -> None:
            self._layers.add_movie(CorrectedMovie(frames, motion), f"{name}, motion corrected", movie)
            self.note.emit(motion.in_words())

        layer, _ = self._layers.layer_and_part(movie)
        self.busy.emit(True)
        self._run(
            motion_of, packed(frames), MotionSettings(mode=mode), name=f"Motion of {name}", bound_to=layer,
            on_done=show, on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def _rate(self, movie: str, typed: float | None) -> tuple[float | None, str]:
        layer, _ = self._layers.layer_and_part(movie)
        return chosen_rate(typed, self._session.clock(layer), self._layers.rate(movie))
