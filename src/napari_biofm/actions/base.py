"""What an action is, and the part of a session that actions may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.events.reviewed import EventTable
from napari_biofm.images.edit.labels_edit import LabelsTarget, Patch
from napari_biofm.links import Link
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import Segmentation

Record = dict[str, Any]


class SessionState(Protocol):
    """What actions read and write. Every `put_...` tells the session's listeners."""

    def labels_target(self, layer: str) -> LabelsTarget:
        """Return the labels of a layer; SessionError where the layer is gone."""
        ...

    def labels_written(self, layer: str, ids: Iterable[int], patches: Iterable[Patch] = ()) -> None:
        """Tell which cells of a layer were changed, and in which patches."""
        ...

    def segmentation(self, layer: str) -> Segmentation | None:
        """Return the products of the pass that made the masks of a layer."""
        ...

    def put_segmentation(self, layer: str, segmentation: Segmentation) -> None:
        """Replace them."""
        ...

    def cell_classes(self, layer: str) -> CellClasses:
        """Return the classes of a layer and the labels given by hand; empty where there are none."""
        ...

    def put_cell_classes(self, layer: str, classes: CellClasses) -> None:
        """Replace them."""
        ...

    def event_table(self, recording: str) -> EventTable:
        """Return the events of a recording; SessionError where the recording is gone."""
        ...

    def put_event_table(self, recording: str, table: EventTable) -> None:
        """Replace them."""
        ...

    @property
    def links(self) -> frozenset[Link]:
        """Which recorded channel belongs to which cell."""
        ...

    def put_links(self, links: frozenset[Link]) -> None:
        """Replace all links."""
        ...

    def clock(self, image: str) -> Clock | None:
        """Return the clock of a movie layer."""
        ...

    def put_clock(self, image: str, clock: Clock | None) -> None:
        """Replace it, or take it away."""
        ...

    def recording(self, uid: str) -> Recording:
        """Return a recording; SessionError where it is gone."""
        ...

    def put_recording(self, uid: str, recording: Recording) -> None:
        """Replace it, e.g. by one with another unit."""
        ...

    @property
    def detector(self) -> Mapping[str, Any] | None:
        """Return the taught detector in use as plain data, None for the stock model."""
        ...

    def put_detector(self, detector: Mapping[str, Any] | None) -> None:
        """Use another."""
        ...


@runtime_checkable
class Action(Protocol):
    """One edit as data. `inverse().apply` after `apply` gives the state before back exactly."""

    kind: ClassVar[str]  # names the class in the log

    @property
    def name(self) -> str:
        """What the user did, as shown in the menu and the log."""
        ...

    @property
    def nbytes(self) -> int:
        """About how much memory it holds."""
        ...

    def apply(self, state: SessionState) -> None:
        """Carry the edit out.

        Raises
        ------
        SessionError
            If the state is no longer the one the edit was made on; nothing is changed then.
        """
        ...

    def inverse(self) -> Action:
        """Return the action that takes this one back."""
        ...

    def record(self) -> Record:
        """Return the edit for the log: JSON-able, with `kind`."""
        ...
