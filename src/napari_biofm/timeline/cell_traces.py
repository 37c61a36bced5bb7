"""From a movie and its masks to traces and events of every cell, in one job."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals import Recording
from napari_biofm.signals.calcium.settings import TraceSettings
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.signals.samples import Mapped
from napari_biofm.types import DetectionSettings, Events, LazyArray, Task


def measure_cells(
    movie: LazyArray | Mapped,
    labels: NDArray[np.int32],
    frame_rate: float,
    title: str,
    settings: TraceSettings | None = None,
    measured_on: MeasuredOn | None = None,
) -> Task[tuple[Recording, Events, tuple[str, ...]]]:
    """Measure dF/F of every cell and find its calcium events with the default detector.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    labels : (Y, X).
    frame_rate : Hz.
    title : of the recording.
    settings : of the traces; the usual ones if None.
    measured_on : layers that the traces are of.

    Returns
    -------
    The traces as a recording whose channels are the cells, their events, and what the user should know.
    """
    from napari_biofm.events.detect import detect_events
    from napari_biofm.signals.calcium import extract_traces

    traces = yield from extract_traces(movie, labels, frame_rate, settings)
    recording = dataclasses.replace(traces.recording(labels, title), measured_on=measured_on)
    events = yield from detect_events(recording, settings=DetectionSettings(kind="calcium"))
    return recording, events, traces.warnings
