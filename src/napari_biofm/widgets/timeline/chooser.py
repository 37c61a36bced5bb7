"""A combo box of things with keys, which keeps its choice when the list is made anew."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_biofm.widgets.common.buttons import enable


class Chooser(QComboBox):
    """Shows texts, speaks of keys. `chosen` is emitted when another key is in force, by hand or not."""

    chosen = Signal(object)

    def __init__(self, empty: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._empty = empty
        self._keys: list[Hashable] = []
        self._last: Hashable | None = None
        self.setToolTip(tooltip)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.currentIndexChanged.connect(self._announce)
        self.set_choices([])

    @property
    def key(self) -> Hashable | None:
        """Key of what is chosen, None where there is nothing to choose."""
        index = self.currentIndex()
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def choose(self, key: Hashable | None) -> None:
        """Choose by key; an unknown key changes nothing."""
        if key in self._keys:
            self.setCurrentIndex(self._keys.index(key))

    def set_choices(self, choices: Sequence[tuple[str, Hashable]], prefer: Hashable | None = None) -> None:
        """Replace the list; the choice stays if it is still there, else `prefer` or the first is taken."""
        former = self.key
        self.blockSignals(True)
        self.clear()
        self._keys = [key for _, key in choices]
        self.addItems([text for text, _ in choices] or [self._empty])
        enable(self, bool(choices), f"Off: {self._empty}.")
        for key in (former, prefer):
            if key is not None and key in self._keys:
                self.setCurrentIndex(self._keys.index(key))
                break
        self.blockSignals(False)
        self._announce()

    def _announce(self, *_: int) -> None:
        if self.key != self._last:
            self._last = self.key
            self.chosen.emit(self._last)
