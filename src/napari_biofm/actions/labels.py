"""Masks: pixels of a labels layer edited, or all of them made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import LabelsEdit


@dataclass(frozen=True)
class EditLabels:
    """Pixels of a labels layer changed, by a tool of ours or by napari's own brush.

    Attributes
    ----------
    edit : which pixels, from which label to which.
    """

    kind: ClassVar[str] = "edit labels"
    edit: LabelsEdit

    @property
    def name(self) -> str:
        return self.edit.name

    @property
    def nbytes(self) -> int:
        return self.edit.nbytes

    def apply(self, state: SessionState) -> None:
        self.edit.write(state.labels_target(self.edit.layer))
        state.labels_written(self.edit.layer, self.edit.labels, self.edit.patches)

    def inverse(self) -> EditLabels:
        return EditLabels(self.edit.inverse())

    def record(self) -> Record:
        return {"kind": self.kind, **self.edit.record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(LabelsEdit.from_record(record))


@dataclass(frozen=True)
class ReplaceMasks:
    """Masks made again from the flows of the same pass, with other thresholds.

    The session keeps the flows as they are and says which parameters the masks have now; the masks themselves are in
    the layer only.

    Attributes
    ----------
    edit : which pixels, from which label to which.
    before, after : provenance of the masks (model, parameters, versions); JSON-able.
    """

    kind: ClassVar[str] = "replace masks"
    edit: LabelsEdit
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.edit.name

    @property
    def nbytes(self) -> int:
        return self.edit.nbytes + 2000

    def apply(self, state: SessionState) -> None:
        layer = self.edit.layer
        self.edit.write(state.labels_target(layer))
        state.labels_written(layer, self.edit.labels, self.edit.patches)
        segmentation = state.segmentation(layer)
        if segmentation is not None:
            state.put_segmentation(layer, replace(segmentation, provenance=dict(self.after)))

    def inverse(self) -> ReplaceMasks:
        return ReplaceMasks(self.edit.inverse(), self.after, self.before)

    def record(self) -> Record:
        return {
            **self.edit.record(),
            "kind": self.kind,
            "provenance_before": dict(self.before),
            "provenance_after": dict(self.after),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        edit = LabelsEdit.from_record(record)
        return cls(edit, dict(record["provenance_before"]), dict(record["provenance_after"]))
