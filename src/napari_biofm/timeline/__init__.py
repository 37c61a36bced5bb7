"""Which frame is which second, which recording is which cell, and events as image data."""

from napari_biofm.events.colours import CLASS_COLOURS, class_colours
from napari_biofm.timeline.align import Alignment, DriftFit, clock_from_triggers, fit_drift
from napari_biofm.timeline.cell_positions import (
    CellEvents,
    cell_centres,
    cell_events,
    clock_of,
    event_seconds,
    is_of_masks,
    is_of_movie,
    recording_time,
    session_time,
)
from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.explanations import ClockUnclearError, Explanation
from napari_biofm.timeline.overlay import event_points, visible_frames
from napari_biofm.timeline.triggers import Pulses, find_triggers

__all__ = [
    "CLASS_COLOURS",
    "Alignment",
    "CellEvents",
    "Clock",
    "DriftFit",
    "Pulses",
    "ClockUnclearError",
    "Explanation",
    "cell_centres",
    "cell_events",
    "class_colours",
    "clock_from_triggers",
    "event_points",
    "event_seconds",
    "find_triggers",
    "fit_drift",
    "clock_of",
    "is_of_masks",
    "is_of_movie",
    "recording_time",
    "session_time",
    "visible_frames",
]
