"""Teaching Cellpose-SAM or Segment Anything with corrected masks: the part of the Segment dock for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.common.layer_pixels import SHOWN, plane_of, shown_step
from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.controllers.segment.painter import visible_box
from napari_biofm.images.train.examples import Example, check_examples, hold_back, read_examples, share_origin
from napari_biofm.images.train.finetuning import Tuned, TuningSettings, tune_job
from napari_biofm.images.train.sam_settings import SamSettings
from napari_biofm.images.train.sam_tuning import SamTuned, tune_sam_job
from napari_biofm.models import registry, store
from napari_biofm.session import Session
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import BUSY, enable, push_button
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.qt_parts import there
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id

HELP = (
    "Correct every cell of a few images, then add them. Ticked examples are learnt from; the others are "
    "held back and tell how good the model was before and is after. Cellpose-SAM learns to find cells and needs a GPU with "
    "about 12 GB, or hours; of Segment Anything only what answers clicks and boxes learns."
)
FAMILIES = ("cellpose-sam", "sam", "mobile-sam")
KEEPS = "Teaching; Cancel keeps what was learnt, and the same examples go on from there."
READY = "Ready."
SHARED = "Ready, but parts of one image are learnt from and held back: the score will flatter."


class ExampleList(QListWidget):
    """A list that says when Delete was pressed on it."""

    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Pass every key on but Delete."""
        if event is not None and event.key() == Qt.Key.Key_Delete:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)


class TeachPanel(QWidget):
    """A list of examples, a name, and a button.

    Emits `taught(name)` when a new model is there.

    Parameters
    ----------
    viewer, session : whose layers are learnt from.
    run : carries the job.
    tell : shows a message.
    image, device : give the image layer that is chosen, and where the network runs.
    """

    taught = Signal(str)

    def __init__(
        self,
        viewer: Any,
        session: Session,
        *,
        run: RunJob,
        tell: Callable[[str], None],
        image: Callable[[], Any],
        device: Callable[[], str],
    ) -> None:
        super().__init__()
        self._viewer, self._session = viewer, session
        self._run, self._tell = run, tell
        self._image, self._device = image, device
        self._running = False
        self.examples = ExampleList()
        self.examples.setMaximumHeight(110)
        self.examples.setToolTip("Ticked: learnt from. Not ticked: held back for the score. Delete removes.")
        self.add_button = push_button(
            "Add image", "Add the chosen image (its shown plane) and the labels over it."
        )
        self.part_button = push_button(
            "Add shown part", "Add only what is visible: enough if all cells there are right."
        )
        self.folder_button = push_button(
            "Add folder ...", "Add images of a folder with <image>_labels.tif files."
        )
        self.remove_button = push_button("Remove", "Take the chosen example off the list (Delete).")
        self.base = QComboBox()
        self.base.setToolTip("The model to begin with; it stays as it is.")
        self.base.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.name = QLineEdit()
        self.name.setPlaceholderText("e.g. my-cells")
        self.name.setToolTip("What to call the new model; it is offered under 'Model' afterwards.")
        self.epochs = QSpinBox()
        self.epochs.setRange(10, 2000)
        self.epochs.setValue(100)
        self.epochs.setToolTip(
            "Rounds through the examples at most. A stopped run of Cellpose-SAM goes on where it was; Segment Anything "
            "ends by itself where nothing gets better."
        )
        self.teach_button = push_button("Teach", "Teach a copy of the base model with the ticked examples.")
        self.result = note(HELP)
        self._lay_out()
        self._connect()
        self.refresh()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for number, button in enumerate(
            (self.add_button, self.part_button, self.folder_button, self.remove_button)
        ):
            grid.addWidget(button, number // 2, number % 2)
        form = QFormLayout()
        for text, widget in (("Base", self.base), ("Name", self.name), ("Epochs", self.epochs)):
            form.addRow(text, widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.result)
        layout.addWidget(self.examples)
        layout.addLayout(grid)
        layout.addLayout(form)
        layout.addWidget(self.teach_button)

    def _connect(self) -> None:
        self.add_button.clicked.connect(lambda: self.add_layers(part=False))
        self.part_button.clicked.connect(lambda: self.add_layers(part=True))
        self.folder_button.clicked.connect(self.ask_for_folder)
        self.remove_button.clicked.connect(self.remove)
        self.teach_button.clicked.connect(self.teach)
        self.name.textChanged.connect(self._enable)
        self.examples.itemSelectionChanged.connect(self._enable)
        self.examples.itemChanged.connect(self._enable)
        self.examples.delete_pressed.connect(self.remove)

    def refresh(self) -> None:
        """Offer the models that can be taught and are on this computer."""
        chosen = self.base.currentText()
        self.base.clear()
        for entry in registry.entries():
            if entry.family in FAMILIES and not entry.obstacle and store.find(entry.name):
                self.base.addItem(entry.name, entry.family)
        with suppress(BiofmError):  # the chooser above tells which file was changed
            for name, weights in store.imported_models().items():
                if weights.family in FAMILIES:
                    self.base.addItem(name, weights.family)
        self.base.setCurrentIndex(max(0, self.base.findText(chosen)))
        self._enable()

    # ------------------------------------------------------------------ examples

    def add_layers(self, part: bool) -> None:
        """Add the chosen image with the labels in play; `part` takes only what is visible."""
        image, labels = self._image(), layer_by_id(self._viewer, self._session.labels)
        if image is None or labels is None:
            self._tell("Open an image and segment or draw its cells first; then add both here.")
            return
        try:
            pixels = plane_of(self._viewer, image, SHOWN)
            masks = np.asarray(labels.data)
            if masks.ndim > 2:
                masks = masks[shown_step(self._viewer, labels)]
            name = image.name
            box = visible_box(self._viewer, image) if part else None
            if box is not None and masks.shape == pixels.shape[:2]:
                y0, x0, y1, x1 = box
                pixels, masks = pixels[y0:y1, x0:x1], masks[y0:y1, x0:x1]
                name = f"{name} [{y0}:{y1}, {x0}:{x1}]"
            self._add([Example(np.array(pixels), np.array(masks), name, origin=layer_id(image))])
        except BiofmError as error:
            self._tell(str(error))

    def add_folder(self, folder: Path) -> None:
        """Add the images of a folder that have labels."""
        try:
            self._add(read_examples(folder))
        except BiofmError as error:
            self._tell(str(error))

    def ask_for_folder(self) -> None:
        """Let the user choose a folder."""
        folder = QFileDialog.getExistingDirectory(self, "Images with labels")
        if folder:
            self.add_folder(Path(folder))

    def _add(self, examples: list[Example]) -> None:
        check_examples(examples)
        for example in examples:
            item = QListWidgetItem(f"{example.name}  ({len(np.unique(example.masks)) - 1} cells)")
            item.setData(Qt.ItemDataRole.UserRole, example)
            item.setCheckState(Qt.CheckState.Checked)
            self.examples.addItem(item)
        ticked = [e for e in self._all() if not e.held_back]
        if len(ticked) == self.examples.count():  # nobody chose yet: keep some back
            for number, example in enumerate(hold_back(ticked)):
                if example.held_back:
                    there(self.examples.item(number)).setCheckState(Qt.CheckState.Unchecked)
        self._enable()

    def remove(self) -> None:
        """Take the chosen example off the list."""
        for item in self.examples.selectedItems():
            self.examples.takeItem(self.examples.row(item))
        self._enable()

    def _all(self) -> list[Example]:
        found = []
        for number in range(self.examples.count()):
            item = there(self.examples.item(number))
            held = item.checkState() is Qt.CheckState.Unchecked
            found.append(replace(item.data(Qt.ItemDataRole.UserRole), held_back=held))
        return found

    # ------------------------------------------------------------------ teaching

    def what_is_missing(self) -> str:
        """Return why nothing can be taught now, or an empty text."""
        examples = self._all()
        if not self.base.currentText():
            return "No model that can be taught is on this computer: choose Cellpose-SAM or Segment Anything under 'Model' and download it."
        if not examples:
            return HELP
        if len(examples) > 1 and len({example.held_back for example in examples}) == 1:
            return "Tick the examples to learn from, and leave at least one unticked for the score."
        if not self.name.text().strip():
            return "Give the new model a name."
        return ""

    def teach(self) -> None:
        """Start the training; the new model is chosen when it is done."""
        examples, name = self._all(), self.name.text().strip()
        if len(examples) == 1:
            examples = [replace(examples[0], held_back=False)]
        self._running = True
        enable(self.teach_button, False)
        job: Callable[..., Any]
        settings: TuningSettings | SamSettings
        if self.base.currentData() == "cellpose-sam":
            said, job, settings = KEEPS, tune_job, TuningSettings(epochs=self.epochs.value())
        else:
            said, job, settings = "Teaching.", tune_sam_job, SamSettings(epochs=self.epochs.value())
        self.result.setText(said)
        self._run(
            job,
            examples,
            name,
            self.base.currentText(),
            settings,
            self._device(),
            name=f"Teach '{name}'",
            on_done=self._done,
            on_end=self._ended,
        )

    def _done(self, tuned: Tuned | SamTuned) -> None:
        self.name.clear()
        self.taught.emit(tuned.name)
        self.result.setText(tuned.describe())

    def _ended(self) -> None:
        self._running = False
        self._enable()

    def _enable(self, *_: Any) -> None:
        missing = self.what_is_missing()
        why = f"Off: {missing[:1].lower()}{missing[1:]}" if missing else BUSY
        enable(self.remove_button, bool(self.examples.selectedItems()), "Off: choose an example in the list.")
        enable(self.teach_button, not missing and not self._running, why)
        if not self._running:
            self.result.setText(missing or (SHARED if share_origin(self._all()) else READY))
