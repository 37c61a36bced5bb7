"""The dock of the annotator: layers, backend, tools, what the prompt gives, and panels for more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox

from napari_biofm.canvas.click_preview import Preview
from napari_biofm.controllers.annotate.annotator import Annotator
from napari_biofm.controllers.annotate.mouse import Mouse
from napari_biofm.controllers.annotate.tools import TOOLS, Tool, load_keys, save_keys, usual_keys
from napari_biofm.controllers.common.session_files import Opened
from napari_biofm.images.prompt.backends import backends
from napari_biofm.session.journal_files import settings_folder
from napari_biofm.types import BiofmError
from napari_biofm.widgets.annotate.keys import KeyBinder, KeyTable
from napari_biofm.widgets.annotate.layer_choice import LayerChoice, short_box
from napari_biofm.widgets.annotate.review_panel import ReviewPanel
from napari_biofm.widgets.annotate.series_panel import SeriesPanel
from napari_biofm.widgets.annotate.time_panel import TimePanel
from napari_biofm.widgets.annotate.toolbox import ThresholdSlider, Toolbox
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.qt_parts import when_destroyed
from napari_biofm.widgets.common.tabs import LowTabs
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id

EDITING = "edit masks"  # the mode of clicks while a tool is chosen


class AnnotateDock(Dock):
    """Point and click on the image in play; every edit goes through the session's history."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.annotator = Annotator(self.viewer, self.session, self.run, Preview(self.viewer))
        self._refused: str | None = None  # labels layer that cannot be edited
        self._keys_path = settings_folder() / "annotate-keys.json"
        self.keys = self._read_keys()
        self._make_parts()
        self._make_panels()
        self._lay_out()
        self.mouse = Mouse(self.annotator, self.tell_error)
        self.binder = KeyBinder(self.viewer, self.press, lambda held: setattr(self.mouse, "paused", held))
        self._connect()
        self.layers.refresh()
        self.annotator.predictor.get_ready()

    # ------------------------------------------------------------------ making

    def _make_parts(self) -> None:
        self.layers = LayerChoice(self.viewer, self.tell)
        self.backend = short_box("What answers a click.")
        self._offer_backends()
        self.annotator.predictor.backend = self.backend.currentData()
        self.threshold = ThresholdSlider()
        self.layers.form.addRow("Clicks by", self.backend)
        self.layers.form.addRow("Threshold", self.threshold)
        self.toolbox = Toolbox(self.choose_tool, self.press)
        self.toolbox.show_keys(self.keys)
        self.overwrite = QCheckBox("New masks may take pixels of other cells")
        self.overwrite.setToolTip("Off: a new mask covers background only.")
        self.status = note()

    def _make_panels(self) -> None:
        self.review = ReviewPanel(self.annotator, run=self.run, tell_error=self.tell_error)
        self.time = TimePanel(self.annotator, run=self.run, tell_error=self.tell_error)
        self.series = SeriesPanel(self.annotator, choose=self.layers.choose, tell_error=self.tell_error)
        self.key_table = KeyTable(self.keys)
        self.panels = LowTabs()
        for panel, title in (
            (self.review, "Review queue"),
            (self.time, "z and t"),
            (self.series, "Series"),
            (self.key_table, "Keys"),
        ):
            self.panels.addTab(panel, title)

    def _lay_out(self) -> None:
        layout = self.scrolled_column()
        for part in (
            self.layers,
            self.toolbox,
            self.overwrite,
            self.status,
            self.job_bar,
        ):
            layout.addWidget(part)
        layout.addWidget(self.panels, 1)

    def _connect(self) -> None:
        self.layers.chosen.connect(self._layers_chosen)
        self.backend.about_to_open.connect(self._offer_backends)
        self.backend.currentIndexChanged.connect(self._backend_chosen)
        sizes = self.annotator.sizes
        self.threshold.moved.connect(lambda v: self._guarded(sizes.show_at, v))
        self.threshold.settled.connect(lambda v: self._guarded(sizes.set_threshold, v))
        self.overwrite.toggled.connect(lambda on: setattr(self.annotator, "overwrite", on))
        self.key_table.changed.connect(self.use_keys)
        self.key_table.refused.connect(self.tell)
        self.listen(self.annotator.changed, self._show_state)
        self.listen(self.session.history.changed, self._show_state)
        self.listen(self.session.segmentation_changed, self._segmented)
        self.listen(self.session.canvas_taken, self._give_way)
        self.listen(self.viewer.layers.events.inserted, self.layers.refresh)
        self.listen(self.viewer.layers.events.removed, self.layers.refresh)
        self.listen(self.viewer.layers.events.moved, self.layers.refresh)
        self.listen(self.viewer.dims.events.ndim, self._refresh_panels)
        self.listen(self.viewer.dims.events.current_step, self._plane_changed)
        when_destroyed(self, _take_down, self.mouse, self.binder, self.annotator)
        self._show_state()

    # ------------------------------------------------------------------ layers

    def _layers_chosen(self) -> None:
        image = self.layers.layer(self.layers.image)
        labels = self.layers.layer(self.layers.labels)
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
        self.session.set_layers(
            image=layer_id(image) if image is not None else None,
            labels=layer_id(labels) if labels is not None else None,
        )
        self.binder.bind(self.keys, labels)
        if annotator.tool is not Tool.OFF:
            self._guarded(annotator.set_tool, annotator.tool)
        self._refresh_panels()

    def _watch(self, labels: Any) -> None:
        """Hear when the layer's own controls change its mode or selected cell."""
        if labels is None:
            return
        self.listen(labels.events.mode, self._mode_changed)
        self.listen(labels.events.selected_label, self._show_state)

    def _mode_changed(self, event: Any) -> None:
        layer, annotator = event.source, self.annotator
        if layer is not annotator.labels:
            return
        mode = str(layer.mode)
        if mode not in ("pan_zoom", "paint") or (mode == "paint" and annotator.tool is not Tool.BRUSH):
            annotator.tool = Tool.BRUSH
            self._show_state()

    def _segmented(self, _uid: str) -> None:
        self.annotator.clear()

    def _plane_changed(self, _event: Any = None) -> None:
        pending = self.annotator.prompt.pending
        if pending and self.annotator.labels is not None and pending.view != self.annotator.view:
            self.annotator.clear()

    def _refresh_panels(self, _event: Any = None) -> None:
        self.review.refresh_layers()
        self.time.refresh_layers()
        self._show_state()

    def session_recovered(self, opened: Opened) -> None:
        """Work on the labels that were brought back."""
        uid = opened.layers.get(opened.saved.labels or "")
        self.layers.choose(None, layer_by_id(self.viewer, uid))

    # ------------------------------------------------------------------ tools and keys

    def choose_tool(self, tool: Tool) -> None:
        """Choose what the mouse does."""
        if tool is not Tool.OFF and self.annotator.labels is None:
            self.layers.new_labels()
        self._guarded(self.annotator.set_tool, tool)
        if self.annotator.tool is not Tool.OFF:
            self.session.canvas_taken.emit(EDITING)

    def _give_way(self, mode: str) -> None:
        """Put the tool away where clicks do something else from now on."""
        if mode != EDITING and self.annotator.tool is not Tool.OFF:
            self.choose_tool(Tool.OFF)

    def press(self, name: str) -> None:
        """Do what a key or a button of this name does."""
        annotator = self.annotator
        actions = {
            "commit": annotator.prompt.commit,
            "alternative": annotator.prompt.next_alternative,
            "clear": annotator.clear,
            "grow": lambda: annotator.sizes.grow(1),
            "shrink": lambda: annotator.sizes.grow(-1),
            "undo": annotator.undo,
            "redo": annotator.redo,
            "next_doubt": lambda: self.review.step(1),
            "previous_doubt": lambda: self.review.step(-1),
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
        self.toolbox.show_keys(self.keys)

    def _read_keys(self) -> dict[str, str]:
        path: Path = self._keys_path
        try:
            return load_keys(path)
        except BiofmError as error:
            self.tell_error(error)
            return usual_keys()

    def _offer_backends(self) -> None:
        """Add what answers clicks and is not in the list yet, such as a model taught meanwhile."""
        for one in backends():
            if self.backend.findData(one.name) < 0:
                self.backend.addItem(one.title, one.name)

    def _backend_chosen(self, _index: int) -> None:
        self.annotator.clear()
        self.annotator.predictor.backend = self.backend.currentData()
        self.annotator.predictor.get_ready()
        self.series.backend_changed()
        self._show_state()

    # ------------------------------------------------------------------ state

    def _show_state(self, *_: Any) -> None:
        if self._gone:
            return
        annotator = self.annotator
        self.toolbox.show_tool(annotator.tool)
        self.status.setText(annotator.status or self._advice())
        self.threshold.setEnabled(annotator.sizes.by_threshold)
        self.threshold.show_value(annotator.sizes.threshold)
        history, prompt = self.session.history, annotator.prompt
        has_cell = annotator.sizes.cell > 0
        self.toolbox.enable(
            {
                "undo": history.can_undo or bool(prompt.pending),
                "redo": history.can_redo,
                "commit": prompt.shown is not None,
                "clear": bool(prompt.pending),
                "alternative": prompt.answer is not None and len(prompt.answer.pieces) > 1,
                "grow": has_cell or bool(prompt.pending),
                "shrink": has_cell or bool(prompt.pending),
            }
        )

    def _advice(self) -> str:
        """What to do next, where nothing has happened."""
        annotator = self.annotator
        if annotator.image is None:
            return "Open an image (File > Open, or drop it on the window)."
        if annotator.tool is Tool.OFF:
            return "Choose a tool, then click a cell. The mouse is napari's."
        return TOOLS[annotator.tool].tip

    def _guarded(self, call: Any, *args: Any) -> None:
        try:
            call(*args)
        except BiofmError as error:
            self.annotator.say(str(error))
            self.tell_error(error)


def _take_down(mouse: Mouse | None, binder: KeyBinder | None, annotator: Annotator | None) -> None:
    """Let go of the viewer when the dock is destroyed; the viewer may be going too."""
    for part, end in ((mouse, "stop"), (binder, "release"), (annotator, "close")):
        with suppress(RuntimeError, ValueError, KeyError):  # where the viewer went first
            if part is not None:
                getattr(part, end)()
