"""Point and click: masks by prompts, corrections of any labels, through z and t, nothing lost."""

from napari_biofm.widgets.annotate.dock import AnnotateDock

__all__ = ["AnnotateDock"]
