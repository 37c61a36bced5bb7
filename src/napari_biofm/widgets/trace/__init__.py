"""The trace dock: recordings of any size seen at once, their events reviewed, measured and exported."""

from napari_biofm.widgets.trace.dock import TraceDock

__all__ = ["TraceDock"]
