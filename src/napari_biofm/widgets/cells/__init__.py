"""The Cells dock: label cells by clicking, see every cell classified, and how well that works."""

from napari_biofm.widgets.common.opening import OpeningDock


class CellsDock(OpeningDock):
    """The Cells dock as napari opens it; `content` is the dock itself (`dock.CellsDockContent`)."""

    inside = "napari_biofm.widgets.cells.dock:CellsDockContent"
    what = "dock Cell states"


__all__ = ["CellsDock"]
