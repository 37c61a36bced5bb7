"""The dock of the annotator: layers, backend, tools, what the prompt gives, and panels for more."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.images.prompting import FLOW_BASINS, backends
from napari_biofm.types import BiofmError
from napari_biofm.widgets.annotate.annotator import Annotator
from napari_biofm.widgets.annotate.autosave import Autosave, recover_layer, unsaved
from napari_biofm.widgets.annotate.geometry import layer_shape
from napari_biofm.widgets.annotate.guide_panel import GuidePanel
from napari_biofm.widgets.annotate.keys import KeyBinder, KeyTable
from napari_biofm.widgets.annotate.mouse import Mouse
from napari_biofm.widgets.annotate.preview import is_helper
from napari_biofm.widgets.annotate.series_panel import SeriesPanel
from napari_biofm.widgets.annotate.time_panel import TimePanel
from napari_biofm.widgets.annotate.tools import TOOLS, Tool, load_keys, save_keys
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.viewers import layer_id

SLIDER = 10  # steps of the threshold slider per logit
COLUMNS = 3
NO_LABELS = "(none: press New)"


class AnnotateDock(Dock):
    """Point and click on the image in play; every edit goes through the session's history."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.annotator = Annotator(self)
        self._refused: str | None = None  # labels layer that cannot be edited
        self.autosave = Autosave(self.session, self.tell_error)
        self._keys_path = self.autosave.folder.parent / "annotate-keys.json"
        self.keys = self._read_keys()
        self._make_choices()
        self._make_tools()
        self._make_panels()
        self._lay_out()
        self.mouse = Mouse(self.annotator, self.tell_error)
        self.binder = KeyBinder(self.viewer, self.press, lambda held: setattr(self.mouse, "paused", held))
        self._connect()
        self._refresh_layers()
        self._offer_recovery()

    # ------------------------------------------------------------------ making

    def _make_choices(self) -> None:
        self.image = QComboBox()
        self.image.setToolTip("The image that is clicked on.")
        self.labels = QComboBox()
        self.labels.setToolTip("The labels that are edited, whoever made them.")
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("Make an empty labels layer on the image.")
        self.backend = QComboBox()
        self.backend.setToolTip("What answers a click.")
        for one in backends():
            self.backend.addItem(one.title, one.name)
        self.annotator.broker.backend = self.backend.currentData()
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(-3 * SLIDER, 6 * SLIDER)
        self.threshold.setValue(0)
        self.threshold.setToolTip("Cell probability (logit) above which a basin's pixels belong to the cell.")
        self.overwrite = QCheckBox("New masks may take pixels of other cells")

    def _make_tools(self) -> None:
        self.tool_buttons: dict[Tool, QPushButton] = {}
        group = QButtonGroup(self)
        group.setExclusive(True)
        for tool, about in TOOLS.items():
            button = QPushButton()
            button.setCheckable(True)
            button.setToolTip(about.tip)
            button.clicked.connect(lambda _=False, t=tool: self.choose_tool(t))
            group.addButton(button)
            self.tool_buttons[tool] = button
        self.tool_buttons[Tool.OFF].setChecked(True)
        self.action_buttons: dict[str, QPushButton] = {}
        for name, title in (
            ("commit", "Commit"),
            ("alternative", "Alternative"),
            ("clear", "Clear"),
            ("shrink", "Shrink"),
            ("grow", "Grow"),
            ("undo", "Undo"),
            ("redo", "Redo"),
        ):
            button = QPushButton(title)
            button.clicked.connect(lambda _=False, n=name: self.press(n))
            self.action_buttons[name] = button
        self.status = QLabel("Choose a tool, then click a cell.", wordWrap=True)
        self._show_keys()

    def _make_panels(self) -> None:
        self.guide = GuidePanel(self, self.annotator)
        self.time = TimePanel(self, self.annotator)
        self.series = SeriesPanel(self, self.annotator)
        self.key_table = KeyTable(self.keys)
        self.panels = QTabWidget()
        for panel, title in (
            (self.guide, "Guide"),
            (self.time, "z and t"),
            (self.series, "Series"),
            (self.key_table, "Keys"),
        ):
            self.panels.addTab(panel, title)
        self.recovery = QWidget()
        self.recovery_text = QLabel(wordWrap=True)
        self.recover_button = QPushButton("Recover")
        self.forget_button = QPushButton("Forget")
        row = QHBoxLayout(self.recovery)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.recovery_text, 1)
        row.addWidget(self.recover_button)
        row.addWidget(self.forget_button)
        self.recovery.hide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Image", self.image)
        row = QHBoxLayout()
        row.addWidget(self.labels, 1)
        row.addWidget(self.new_button)
        form.addRow("Labels", row)
        form.addRow("Clicks by", self.backend)
        form.addRow("Threshold", self.threshold)
        tools, actions = QGridLayout(), QGridLayout()
        for n, button in enumerate(self.tool_buttons.values()):
            tools.addWidget(button, n // COLUMNS, n % COLUMNS)
        for n, action in enumerate(self.action_buttons.values()):
            actions.addWidget(action, n // COLUMNS, n % COLUMNS)
        layout = QVBoxLayout(self)
        layout.addWidget(self.recovery)
        layout.addLayout(form)
        layout.addLayout(tools)
        layout.addLayout(actions)
        layout.addWidget(self.overwrite)
        layout.addWidget(self.status)
        layout.addWidget(self.job_bar)
        layout.addWidget(self.panels, 1)

    def _connect(self) -> None:
        self.image.activated.connect(self._layers_chosen)
        self.labels.activated.connect(self._layers_chosen)
        self.new_button.clicked.connect(self.new_labels)
        self.backend.currentIndexChanged.connect(self._backend_chosen)
        self.threshold.valueChanged.connect(lambda v: self._guarded(self.annotator.set_threshold, v / SLIDER))
        self.overwrite.toggled.connect(lambda on: setattr(self.annotator, "overwrite", on))
        self.key_table.changed.connect(self.use_keys)
        self.key_table.refused.connect(self.tell)
        self.recover_button.clicked.connect(self.recover)
        self.forget_button.clicked.connect(self.forget_recovery)
        self.listen(self.annotator.changed, self._show_state)
        self.listen(self.session.history.changed, self._show_state)
        self.listen(self.session.segmentation_changed, self._segmented)
        self.listen(self.viewer.layers.events.inserted, self._refresh_layers)
        self.listen(self.viewer.layers.events.removed, self._refresh_layers)
        self.listen(self.viewer.layers.events.moved, self._refresh_layers)
        self.listen(self.viewer.dims.events.ndim, self._refresh_panels)
        self.listen(self.viewer.dims.events.current_step, self._plane_changed)
        parts = (self.mouse, self.binder, self.annotator, self.autosave)
        self.destroyed.connect(lambda *_: _take_down(*parts))
        self._show_state()

    # ------------------------------------------------------------------ layers

    def _refresh_layers(self, _event: Any = None) -> None:
        layers = [x for x in self.viewer.layers if not is_helper(x)]
        for box, kind in ((self.image, Image), (self.labels, Labels)):
            chosen = box.currentData()
            box.blockSignals(True)
            box.clear()
            for layer in reversed(layers):
                if isinstance(layer, kind):
                    box.addItem(layer.name, layer_id(layer))
            if kind is Labels and not box.count():
                box.addItem(NO_LABELS, None)
            box.setCurrentIndex(max(0, box.findData(chosen)))
            box.blockSignals(False)
        self._layers_chosen()

    def _layers_chosen(self, _index: int = 0) -> None:
        image, labels = self._layer(self.image), self._layer(self.labels)
        annotator = self.annotator
        same = labels is annotator.labels or (labels is not None and layer_id(labels) == self._refused)
        if image is annotator.image and same:
            self._refresh_panels()
            return
        if labels is not annotator.labels:
            self._watch(labels)
        self._guarded(annotator.use, image, labels)
        self._refused = None if annotator.labels is labels or labels is None else layer_id(labels)
        labels = annotator.labels
        if labels is not None:
            self._guarded(self._autosave_layer, labels, image)
        self.session.set_layers(
            image=layer_id(image) if image is not None else None,
            labels=layer_id(labels) if labels is not None else None,
        )
        self.binder.bind(self.keys, labels)
        if annotator.tool is not Tool.OFF:
            self._guarded(annotator.set_tool, annotator.tool)
        self._refresh_panels()

    def _watch(self, labels: Any) -> None:
        """Hear when the layer's own controls change its mode or something replaces its data."""
        if labels is None:
            return
        self.listen(labels.events.mode, self._mode_changed)
        self.listen(labels.events.data, self._data_changed)

    def _autosave_layer(self, labels: Any, image: Any) -> None:
        self.autosave.watch(labels, self.annotator.editor.target, image)

    def _layer(self, box: QComboBox) -> Any:
        uid = box.currentData()
        return next((x for x in self.viewer.layers if uid and layer_id(x) == uid), None)

    def choose_layers(self, image: Any, labels: Any) -> None:
        """Put these layers in play."""
        for box, layer in ((self.image, image), (self.labels, labels)):
            box.setCurrentIndex(max(0, box.findData(layer_id(layer))))
        self._layers_chosen()

    def new_labels(self) -> Any:
        """Add an empty labels layer that lies on the image, and work on it."""
        image = self._layer(self.image)
        if image is None:
            self.tell("Open an image first.")
            return None
        layer = self.viewer.add_labels(
            np.zeros(layer_shape(image), np.int32),
            name=f"{image.name} cells",
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            affine=image.affine,
            units=image.units,
        )
        self.choose_layers(image, layer)
        return layer

    def _data_changed(self, event: Any) -> None:
        layer = event.source
        self.annotator.data_replaced(layer)
        self.autosave.restart(layer_id(layer))

    def _mode_changed(self, event: Any) -> None:
        layer, annotator = event.source, self.annotator
        if (layer is annotator.labels and str(layer.mode) not in ("pan_zoom", "paint")) or (
            layer is annotator.labels and str(layer.mode) == "paint" and annotator.tool is not Tool.BRUSH
        ):
            annotator.tool = Tool.BRUSH
            self._show_state()

    def _segmented(self, _uid: str) -> None:
        self.annotator.clear()

    def _plane_changed(self, _event: Any = None) -> None:
        pending = self.annotator.pending
        if pending and self.annotator.labels is not None and pending.view != self.annotator.view:
            self.annotator.clear()

    def _refresh_panels(self, _event: Any = None) -> None:
        self.guide.refresh_layers()
        self.time.refresh_layers()

    # ------------------------------------------------------------------ tools and keys

    def choose_tool(self, tool: Tool) -> None:
        """Choose what the mouse does."""
        if tool is not Tool.OFF and self.annotator.labels is None:
            self.new_labels()
        self._guarded(self.annotator.set_tool, tool)

    def press(self, name: str) -> None:
        """Do what a key or a button of this name does."""
        annotator = self.annotator
        actions = {
            "commit": annotator.commit,
            "alternative": annotator.next_alternative,
            "clear": annotator.clear,
            "grow": lambda: annotator.grow(1),
            "shrink": lambda: annotator.grow(-1),
            "undo": annotator.undo,
            "redo": annotator.redo,
            "next_doubt": lambda: self.guide.step(1),
            "previous_doubt": lambda: self.guide.step(-1),
            "next_image": self.series.save_and_next,
        }
        if name in actions:
            self._guarded(actions[name])
        else:
            self.choose_tool(Tool(name))

    def use_keys(self, keys: dict[str, str]) -> None:
        """Use other keys, now and from now on."""
        self.keys = dict(keys)
        self._guarded(save_keys, self._keys_path, keys)
        self.binder.bind(self.keys, self.annotator.labels)
        self._show_keys()

    def _read_keys(self) -> dict[str, str]:
        try:
            return load_keys(self._keys_path)
        except BiofmError as error:
            self.tell_error(error)
            return load_keys(Path("/nonexistent"))

    def _show_keys(self) -> None:
        for tool, button in self.tool_buttons.items():
            button.setText(f"{TOOLS[tool].title} ({self.keys[tool.value]})")
        for name, action in self.action_buttons.items():
            title = action.text().split(" (")[0]
            action.setText(
                f"{title} ({self.keys[name].replace('Control', 'Ctrl').replace('Backspace', 'Bksp')})"
            )

    def _backend_chosen(self, _index: int) -> None:
        self.annotator.clear()
        self.annotator.broker.backend = self.backend.currentData()
        self._show_state()

    # ------------------------------------------------------------------ state

    def _show_state(self, *_: Any) -> None:
        if self._gone:
            return
        annotator = self.annotator
        self.tool_buttons[annotator.tool].setChecked(True)
        self.status.setText(annotator.status or TOOLS[annotator.tool].tip)
        self.threshold.setEnabled(annotator.broker.backend == FLOW_BASINS)
        value = round(annotator.broker.threshold * SLIDER)
        if value != self.threshold.value():
            self.threshold.blockSignals(True)
            self.threshold.setValue(value)
            self.threshold.blockSignals(False)
        history = self.session.history
        self.action_buttons["undo"].setEnabled(history.can_undo or bool(annotator.pending))
        self.action_buttons["redo"].setEnabled(history.can_redo)
        self.action_buttons["commit"].setEnabled(annotator.shown is not None)
        several = annotator.answer is not None and len(annotator.answer.pieces) > 1
        self.action_buttons["alternative"].setEnabled(several)

    def _guarded(self, call: Any, *args: Any) -> None:
        try:
            call(*args)
        except BiofmError as error:
            self.annotator.say(str(error))
            self.tell_error(error)

    # ------------------------------------------------------------------ recovery

    def _offer_recovery(self) -> None:
        found = unsaved(self.autosave.folder)
        self.recovery.setVisible(bool(found))
        if found:
            name = found[0].about.get("name", "labels")
            self.recovery_text.setText(f"napari ended without closing. Edits of '{name}' are kept.")

    def recover(self) -> Any:
        """Add the labels of the window that was killed, with every edit, and work on them."""
        found = unsaved(self.autosave.folder)
        if not found:
            self.recovery.hide()
            return None
        try:
            layer = recover_layer(self.viewer, found[0].folder)
        except BiofmError as error:
            self.tell_error(error)
            return None
        self.labels.setCurrentIndex(max(0, self.labels.findData(layer_id(layer))))
        self._layers_chosen()
        self.autosave.start_now(layer_id(layer))
        shutil.rmtree(found[0].folder, ignore_errors=True)
        self._offer_recovery()
        return layer

    def forget_recovery(self) -> None:
        """Remove what the killed window left."""
        for found in unsaved(self.autosave.folder)[:1]:
            shutil.rmtree(found.folder, ignore_errors=True)
        self._offer_recovery()


def _take_down(mouse: Mouse, binder: KeyBinder, annotator: Annotator, autosave: Autosave) -> None:
    """Let go of the viewer when the dock is destroyed; the viewer may be going too."""
    for let_go in (mouse.stop, binder.release, annotator.close):
        with suppress(RuntimeError, ValueError, KeyError):  # where the viewer went first
            let_go()
    autosave.close()
