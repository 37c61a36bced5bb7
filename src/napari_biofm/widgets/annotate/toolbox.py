"""The buttons of tools and actions with their keys, and the threshold slider."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.annotate.tools import ACTIONS, TOOLS, WHY_OFF, Tool
from napari_biofm.widgets.common.buttons import enable

SLIDER = 10  # steps of the threshold slider per logit
COLUMNS = 3
ROWS_OF_ACTIONS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("commit", "Commit"), ("alternative", "Alternative"), ("clear", "Clear")),
    (("shrink", "Shrink"), ("grow", "Grow")),
    (("undo", "Undo"), ("redo", "Redo")),
)
_SHORT = {"Control": "Ctrl", "Backspace": "Bksp"}


class Toolbox(QWidget):
    """One button per tool, of which one is down, and one per action.

    Parameters
    ----------
    choose : called with a tool. press : called with the name of an action.
    """

    def __init__(self, choose: Callable[[Tool], None], press: Callable[[str], None]) -> None:
        super().__init__()
        self.tool_buttons: dict[Tool, QPushButton] = {}
        self.action_buttons: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        group.setExclusive(True)
        tools, actions = QGridLayout(), QVBoxLayout()
        for n, (tool, about) in enumerate(TOOLS.items()):
            button = QPushButton()
            button.setCheckable(True)
            button.setToolTip(about.tip)
            button.clicked.connect(lambda _=False, t=tool: choose(t))
            group.addButton(button)
            self.tool_buttons[tool] = button
            span = COLUMNS if tool is Tool.OFF else 1  # the last one, alone in its row
            tools.addWidget(button, n // COLUMNS, n % COLUMNS, 1, span)
        self.tool_buttons[Tool.OFF].setChecked(True)
        for line in ROWS_OF_ACTIONS:
            row = QHBoxLayout()
            for name, title in line:
                button = QPushButton(title)
                button.setToolTip(f"{ACTIONS[name][1]}.")
                button.clicked.connect(lambda _=False, n=name: press(n))
                self.action_buttons[name] = button
                row.addWidget(button, 1)
            actions.addLayout(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(tools)
        layout.addSpacing(6)
        layout.addLayout(actions)

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Write the keys on the buttons."""
        for tool, button in self.tool_buttons.items():
            button.setText(f"{TOOLS[tool].title} ({_shortened(keys[tool.value])})")
        titles = {name: title for row in ROWS_OF_ACTIONS for name, title in row}
        for name, action in self.action_buttons.items():
            action.setText(f"{titles[name]} ({_shortened(keys[name])})")

    def show_tool(self, tool: Tool) -> None:
        """Press a tool's button down."""
        self.tool_buttons[tool].setChecked(True)

    def enable(self, states: Mapping[str, bool]) -> None:
        """Enable and disable actions by name."""
        for name, on in states.items():
            enable(self.action_buttons[name], on, WHY_OFF[name])


class ThresholdSlider(QWidget):
    """A cell probability in logits: `moved` while the hand is on it, `settled` when it lets go."""

    moved = Signal(float)
    settled = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(-3 * SLIDER, 6 * SLIDER)
        self.slider.setToolTip(
            "With flow basins: the cell probability (logit) above which pixels belong to the cell. Of the "
            "mask in the preview, else of the selected cell; left grows, right shrinks."
        )
        self.number = QLabel("0.0")
        self.number.setMinimumWidth(self.number.fontMetrics().horizontalAdvance("-0.00"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        self.slider.valueChanged.connect(self._changed)
        self.slider.sliderReleased.connect(lambda: self.settled.emit(self.value))

    @property
    def value(self) -> float:
        """Threshold in logits."""
        return self.slider.value() / SLIDER

    def show_value(self, value: float) -> None:
        """Set the slider without telling."""
        if self.slider.isSliderDown():
            return
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * SLIDER))
        self.slider.blockSignals(False)
        self.number.setText(f"{self.value:.1f}")

    def _changed(self, _value: int) -> None:
        self.number.setText(f"{self.value:.1f}")
        if self.slider.isSliderDown():
            self.moved.emit(self.value)
        else:  # by wheel, key or a click beside the handle
            self.settled.emit(self.value)


def _shortened(key: str) -> str:
    for long, short in _SHORT.items():
        key = key.replace(long, short)
    return key
