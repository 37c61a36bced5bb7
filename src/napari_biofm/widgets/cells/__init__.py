"""The Cells dock: label cells by clicking, see every cell classified, and how well that works."""

from napari_biofm.widgets.cells.dock import CellsDock

__all__ = ["CellsDock"]
