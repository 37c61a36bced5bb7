"""The timeline dock: which frame is which second, which recording is which cell, events on the image."""

from napari_biofm.widgets.timeline.dock import TimelineDock

__all__ = ["TimelineDock"]
