"""What cells are measured on: which images, and which part of a stack; shown before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QMenu, QPushButton, QWidget

from napari_biofm.widgets.common.buttons import enable

NONE, WHOLE, PLANE = "Shape only", "All planes", "Plane in view"


class Measured(Protocol):
    """What can be measured, and what was chosen."""

    images: tuple[str, ...]
    plane_only: bool | None

    def images_offered(self) -> tuple[dict[str, str], tuple[str, ...]]: ...

    def part_to_measure(self) -> bool | None: ...


class ImageChoice(QPushButton):
    """A menu of images with ticks; its text names those that are chosen."""

    changed = Signal(tuple)  # ids of the image layers

    def __init__(self) -> None:
        super().__init__(NONE)
        self._names: dict[str, str] = {}
        self._chosen: tuple[str, ...] = ()
        self._menu = QMenu(self)
        self.setMenu(self._menu)
        self.setToolTip(
            "The images that cells are measured on: each gives a column of intensities per channel."
        )

    @property
    def chosen(self) -> tuple[str, ...]:
        """Ids of the chosen images, in the order they are offered."""
        return self._chosen

    def offer(self, names: Mapping[str, str], chosen: Sequence[str]) -> None:
        """Show the images there are, by id, and which of them are in use."""
        self._names = dict(names)
        self._chosen = tuple(i for i in names if i in chosen)
        self._menu.clear()
        for uid, name in names.items():
            action = QAction(name, self._menu)
            self._menu.addAction(action)
            action.setCheckable(True)
            action.setChecked(uid in self._chosen)
            action.toggled.connect(lambda on, uid=uid: self._toggle(uid, on))
        self._show()

    def _toggle(self, uid: str, on: bool) -> None:
        wanted = {*self._chosen, uid} if on else set(self._chosen) - {uid}
        if not wanted:  # one is always measured
            self.offer(self._names, self._chosen)
            return
        self._chosen = tuple(i for i in self._names if i in wanted)
        self._show()
        self.changed.emit(self._chosen)

    def _show(self) -> None:
        names = [self._names[i] for i in self._chosen]
        text = " + ".join(names) if names else NONE
        self.setText(
            text if len(text) <= 28 else f"{len(names)} images" if len(names) > 1 else text[:27] + "…"
        )
        tip = f"Cells are measured on: {', '.join(names) or 'shape alone'}. Tick images to add their columns."
        enable(self, bool(self._names), "Off: no image layer is open.", tip=tip)


class MeasuredOnRow(QWidget):
    """The images, and for stacks which part.

    Parameters
    ----------
    measured : is read, and told what was chosen.
    """

    def __init__(self, measured: Measured) -> None:
        super().__init__()
        self._measured = measured
        self.images, self.part = ImageChoice(), QComboBox()
        self.part.addItems([WHOLE, PLANE])
        self.part.setToolTip("Of a stack or movie: all of it as one volume, or the plane that is shown.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.images, 2)
        layout.addWidget(self.part, 1)
        self.images.changed.connect(self._images_chosen)
        self.part.activated.connect(self._part_chosen)

    def refresh(self) -> None:
        """Show what there is now."""
        self.images.offer(*self._measured.images_offered())
        whole = self._measured.part_to_measure()
        self.part.setVisible(whole is not None)
        self.part.setCurrentText(WHOLE if whole else PLANE)

    def _images_chosen(self, images: tuple[str, ...]) -> None:
        self._measured.images = images

    def _part_chosen(self, _: int) -> None:
        self._measured.plane_only = self.part.currentText() == PLANE
        self.refresh()
