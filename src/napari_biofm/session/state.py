"""What a session holds, and the signals that tell of changes. Changed by actions and by `Session` only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_biofm.cells.table.classes import CellClasses, write_classes
from napari_biofm.events.reviewed import EventTable
from napari_biofm.images.edit.index import Box, LabelIndex
from napari_biofm.images.edit.labels_edit import LabelsTarget, Patch
from napari_biofm.links import Link
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import Segmentation, SessionError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.cells.classify.classified import Classified


class State:
    """The data of one session; implements `actions.SessionState`."""

    segmentation_changed = Signal(str)  # labels layer id
    labels_edited = Signal(str, object)  # labels layer id, tuple of label values, or None: any of them
    cells_changed = Signal(str)  # labels layer id: another table of cells
    classes_changed = Signal(str)  # labels layer id: classes, or labels given by hand
    recordings_changed = Signal()
    events_changed = Signal(str)  # recording id
    links_changed = Signal()
    clocks_changed = Signal()
    detector_changed = Signal()

    def __init__(self) -> None:
        self.targets: dict[str, LabelsTarget] = {}
        self.indices: dict[str, LabelIndex] = {}  # of layers whose cells were looked up
        self.segmentations: dict[str, Segmentation] = {}
        self.cells: dict[str, AnnData] = {}
        self.classes: dict[str, CellClasses] = {}
        self.classified: dict[str, Classified] = {}  # what classifiers say, by labels layer
        self.recordings: dict[str, Recording] = {}
        self.events: dict[str, EventTable] = {}
        self.clocks: dict[str, Clock] = {}
        self.removed: set[str] = set()  # layers that are gone
        self._links: frozenset[Link] = frozenset()
        self._detector: Mapping[str, Any] | None = None

    def disconnect(self) -> None:
        """Let go of all listeners."""
        for signal in (
            self.segmentation_changed,
            self.labels_edited,
            self.cells_changed,
            self.classes_changed,
            self.recordings_changed,
            self.events_changed,
            self.links_changed,
            self.clocks_changed,
            self.detector_changed,
        ):
            signal.disconnect()

    # ------------------------------------------------------------------ masks and cells

    def labels_target(self, layer: str) -> LabelsTarget:
        if layer not in self.targets:
            raise SessionError("its labels layer was removed.")
        return self.targets[layer]

    def label_index(self, layer: str) -> LabelIndex:
        """Return where the cells of a layer lie; read from its masks when it is first asked something."""
        if layer not in self.indices:
            self.indices[layer] = LabelIndex(self.labels_target(layer))
        return self.indices[layer]

    def labels_written(self, layer: str, ids: Iterable[int] | None, patches: Iterable[Patch] = ()) -> None:
        """Tell which cells of a layer were changed (None where nobody knows), and in which patches."""
        index = self.indices.get(layer)
        if index is not None:
            index.changed(patches)
        self._tell_labels(layer, ids)

    def labels_changed_outside(
        self, layer: str, ids: Iterable[int] | None, places: Iterable[tuple[Box, Iterable[int]]] | None
    ) -> None:
        """Tell which cells were changed by something else than an action, and in which boxes where that is known."""
        index = self.indices.get(layer)
        if index is not None and (ids is None or places is None):
            index.reset()
        elif index is not None:
            for (start, stop), inside in places or ():
                for label in inside:
                    index.include(int(label), start, stop)
        self._tell_labels(layer, ids)

    def _tell_labels(self, layer: str, ids: Iterable[int] | None) -> None:
        self.labels_edited.emit(layer, None if ids is None else tuple(ids))

    def segmentation(self, layer: str) -> Segmentation | None:
        return self.segmentations.get(layer)

    def put_segmentation(self, layer: str, segmentation: Segmentation) -> None:
        self.segmentations[layer] = segmentation
        self.segmentation_changed.emit(layer)

    def put_cells(self, layer: str, table: AnnData) -> None:
        """Keep a table of cells; the classes of the layer are written into it."""
        write_classes(table, self.classes.get(layer, CellClasses()))
        self.cells[layer] = table
        self.cells_changed.emit(layer)

    def cell_classes(self, layer: str) -> CellClasses:
        if layer in self.removed:
            raise SessionError("its labels layer was removed.")
        return self.classes.get(layer, CellClasses())

    def put_cell_classes(self, layer: str, classes: CellClasses) -> None:
        self.classes[layer] = classes
        table = self.cells.get(layer)
        if table is not None:
            write_classes(table, classes)
        self.classes_changed.emit(layer)

    def forget_layer(self, layer: str) -> bool:
        """Drop what was derived from a layer that was removed; return whether it had a table of cells."""
        self.removed.add(layer)
        self.targets.pop(layer, None)
        self.indices.pop(layer, None)
        self.segmentations.pop(layer, None)
        self.classes.pop(layer, None)
        self.classified.pop(layer, None)
        return self.cells.pop(layer, None) is not None

    # ------------------------------------------------------------------ recordings and events

    def recording(self, uid: str) -> Recording:
        self.check_recording(uid)
        return self.recordings[uid]

    def put_recording(self, uid: str, recording: Recording) -> None:
        self.recordings[uid] = recording
        self.recordings_changed.emit()

    def event_table(self, recording: str) -> EventTable:
        self.check_recording(recording)
        return self.events[recording]

    def put_event_table(self, recording: str, table: EventTable) -> None:
        self.events[recording] = table
        self.events_changed.emit(recording)

    def check_recording(self, uid: str) -> None:
        """Raise SessionError where no such recording is open."""
        if uid not in self.recordings:
            known = ", ".join(self.recordings) or "none"
            raise SessionError(f"No recording '{uid}' is open; open are: {known}.")

    # ------------------------------------------------------------------ links, clocks, detector

    @property
    def links(self) -> frozenset[Link]:
        return self._links

    def put_links(self, links: frozenset[Link]) -> None:
        self._links = links
        self.links_changed.emit()

    def clock(self, image: str) -> Clock | None:
        return self.clocks.get(image)

    def put_clock(self, image: str, clock: Clock | None) -> None:
        if clock is None:
            self.clocks.pop(image, None)
        else:
            self.clocks[image] = dataclasses.replace(clock, movie=image)
        self.clocks_changed.emit()

    @property
    def detector(self) -> Mapping[str, Any] | None:
        return self._detector

    def put_detector(self, detector: Mapping[str, Any] | None) -> None:
        self._detector = detector
        self.detector_changed.emit()
