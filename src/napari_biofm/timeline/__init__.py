"""Which frame is which second, which recording is which cell, and events as image data."""

from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.overlay import event_points
from napari_biofm.timeline.triggers import TriggerReport, find_triggers

__all__ = ["Clock", "TriggerReport", "event_points", "find_triggers"]
