"""What the panels of the timeline are built from: what they may ask of their dock, words and number boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from qtpy.QtWidgets import QDoubleSpinBox, QVBoxLayout, QWidget

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.widgets.common.forms import note


class Host(Protocol):
    """What a panel may ask of the dock that holds it."""

    def listen(self, signal: Any, callback: Callable[..., Any]) -> None:
        """Connect a signal until the dock is destroyed."""
        ...

    def run(self, function: Callable[..., Any], *args: Any, name: str, **options: Any) -> Any:
        """Run a job; see `Dock.run`."""
        ...

    def tell(self, message: str) -> None:
        """Show a short message."""
        ...

    def tell_error(self, error: BaseException) -> None:
        """Show an error."""
        ...


class Panel(QWidget):
    """One tab of the timeline dock.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    words : shown at first.
    """

    def __init__(self, host: Host, controller: TimelineController, words: str = "") -> None:
        super().__init__()
        self.host = host
        self.controller = controller
        self.words = note(words)
        self.column = QVBoxLayout(self)

    def rejected_words(self) -> str:
        """Return a sentence, after a space, on rejected cells left out or included; "" where none is rejected."""
        said = self.controller.said_of_rejected()
        return f" {said}." if said else ""


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
