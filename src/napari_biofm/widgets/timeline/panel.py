"""What the panels of the timeline are built from: their dock, their state, words and number boxes."""

from __future__ import annotations

from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QVBoxLayout, QWidget

from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.timeline.state import TimelineState


class Panel(QWidget):
    """One tab of the timeline.

    Parameters
    ----------
    dock : that holds the panel; runs its jobs and shows its errors.
    state : of the dock.
    words : what the panel says before anything was done.

    Attributes
    ----------
    words : label for what the user should know.
    column : the panel's layout, from top to bottom.
    """

    def __init__(self, dock: Dock, state: TimelineState, words: str = "") -> None:
        super().__init__()
        self.dock = dock
        self.state = state
        self.words = QLabel(words)
        self.words.setWordWrap(True)
        self.column = QVBoxLayout(self)

    def selected_labels(self) -> list[int]:
        """Return the labels of the selected cells of the labels layer in play, ascending."""
        uid = self.state.labels_uid
        return self.state.session.selection.labels_of(uid).tolist()


def number_box(
    low: float, high: float, decimals: int, suffix: str, tooltip: str, value: float | None = None
) -> QDoubleSpinBox:
    """Return a box for a number that speaks when the number is complete, not at each key."""
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    box.setKeyboardTracking(False)
    if value is not None:
        box.setValue(value)
    return box
