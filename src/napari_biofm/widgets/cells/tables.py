"""The part of the Cells dock that keeps layer, table and masks in step."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.types import FeatureMap
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.edits import MaskEdits
from napari_biofm.widgets.cells.overlay import Overlay
from napari_biofm.widgets.cells.planes import image_for, plane_of_cells
from napari_biofm.widgets.cells.states import CellStates
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id


class TablesDock(Dock):
    """Chooses the layer, has its cells measured, and measures again what an edit touched."""

    states: CellStates
    overlay: Overlay
    edits: MaskEdits
    layer_box: QComboBox
    measure_button: QPushButton
    status: QLabel

    @property
    def layer(self) -> Any:
        """The Labels layer in use, None where there is none."""
        return layer_by_id(self.viewer, self.layer_box.currentData())

    def _layers_changed(self, event: Any = None) -> None:
        chosen = self.layer_box.currentData()
        labels = [
            layer
            for layer in self.viewer.layers
            if type(layer).__name__ == "Labels" and "biofm_overlay_of" not in layer.metadata
        ]
        self.layer_box.blockSignals(True)
        self.layer_box.clear()
        for layer in labels:
            self.layer_box.addItem(layer.name, layer_id(layer))
        at = self.layer_box.findData(chosen or self.session.labels)
        self.layer_box.setCurrentIndex(at if at >= 0 else len(labels) - 1)
        self.layer_box.blockSignals(False)
        if self.layer_box.currentData() != self.states.uid or event is None:
            self._layer_chosen()

    def _layer_chosen(self, *_: Any) -> None:
        layer = self.layer
        uid = None if layer is None else layer_id(layer)
        if uid != self.states.uid:
            self.overlay.hide()
        self.edits.follow(layer)
        self.states.use(uid, self.session.cells(uid) if uid else None)
        self._advise()

    def _follow_session(self) -> None:
        at = self.layer_box.findData(self.session.labels)
        if at >= 0:
            self.layer_box.setCurrentIndex(at)

    def _cells_changed(self, uid: str) -> None:
        if uid == self.states.uid and self.session.cells(uid) is not self.states.table:
            self.states.use(uid, self.session.cells(uid))
            self._advise()

    def _advise(self) -> None:
        table = self.states.table
        if self.layer is None:
            self.status.setText(
                "Segment an image first, or open a Labels layer: its cells can be taught here."
            )
        elif table is None:
            self.status.setText("Press 'Measure cells' to begin.")
        elif not table.n_obs:
            self.status.setText(f"'{self.layer.name}' has no cells.")
        elif not self.states.classes:
            self.status.setText(f"{table.n_obs} cells. Name two classes, then click cells of each.")
        else:
            self.status.setText(f"{table.n_obs} cells.")

    def measure(self) -> None:
        """Make the table of the chosen layer, in the worker."""
        layer = self.layer
        if layer is None:
            self._advise()
            return
        uid = layer_id(layer)
        image = image_for(self.viewer, self.session.image, layer)
        self.measure_button.setEnabled(False)
        self.run(
            jobs.measure_cells,
            plane_of_cells(self.viewer, layer),
            image,
            uid,
            layer.name,
            *self._encoder_of(uid),
            name=f"Measure '{layer.name}'",
            bound_to=uid,
            on_done=lambda table: self._measured(uid, table),
            on_end=lambda: self.measure_button.setEnabled(True),
        )

    def _encoder_of(self, uid: str) -> tuple[str, FeatureMap | None]:
        """Model and feature map of the pass that made the masks, so that nothing is encoded twice."""
        found = self.session.segmentation(uid)
        if found is None:
            return DEFAULT_MODEL, None
        return str(found.provenance.get("model", DEFAULT_MODEL)), found.features

    def _measured(self, uid: str, table: Any) -> None:
        if layer_by_id(self.viewer, uid) is None:
            self.tell("The labels were removed while their cells were measured; the table was dropped.")
            return
        self.session.set_cells(uid, table)
        self.session.set_layers(labels=uid)

    def _segmented(self, uid: str) -> None:
        """The masks of a layer were replaced, e.g. by other thresholds."""
        if uid == self.states.uid and self.states.table is not None:
            self._masks_edited(None)

    def _masks_edited(self, changed: set[int] | None) -> None:
        table, layer = self.states.table, self.layer
        if table is None or layer is None:
            return
        uid = layer_id(layer)
        self.run(
            jobs.measure_changed,
            table,
            plane_of_cells(self.viewer, layer),
            image_for(self.viewer, self.session.image, layer),
            None if changed is None else sorted(changed),
            *self._encoder_of(uid),
            name="Measure changed cells",
            lane="bulk" if changed is None else "interactive",
            bound_to=uid,
            on_done=lambda made: self._updated(uid, table, made, changed),
        )

    def _updated(self, uid: str, before: Any, made: Any, changed: set[int] | None) -> None:
        if self.session.cells(uid) is not before:  # another edit was quicker: do this one again on its table
            if uid == self.states.uid and self.states.table is not None:
                self._masks_edited(changed)
        else:
            self.session.set_cells(uid, made)
