"""The Segment dock: masks of the whole image by a model, its options, teaching it on corrected masks."""

from napari_biofm.widgets.segment.dock import SegmentDock

__all__ = ["SegmentDock"]
