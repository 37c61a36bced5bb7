"""The Cells dock: label cells by clicking, see every cell classified, and how well that works."""

from napari_biofm.widgets.common.opening import OpeningDock


class CellsDock(OpeningDock):
    """The Cells dock as napari opens it; `desk` is the dock itself (`dock.CellsDesk`)."""

    inside = "napari_biofm.widgets.cells.dock:CellsDesk"
    what = "Cells dock"


__all__ = ["CellsDock"]
