"""Which taught detector is in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.types import SessionError


@dataclass(frozen=True)
class UseDetector:
    """Another taught detector, or the stock model.

    Attributes
    ----------
    name : what the user did.
    before, after : the detector as plain JSON-able data (`AdaptedHead.to_plain`), None for the stock model.
    """

    kind: ClassVar[str] = "use detector"
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def nbytes(self) -> int:
        return sum(20_000 for detector in (self.before, self.after) if detector is not None)

    def apply(self, state: SessionState) -> None:
        if state.detector != self.before:
            raise SessionError("another detector is in use than when it was made.")
        state.put_detector(self.after)

    def inverse(self) -> UseDetector:
        return UseDetector(undone(self.name), self.after, self.before)

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "classes": [] if self.after is None else list(self.after.get("classes", [])),
            "before": None if self.before is None else dict(self.before),
            "after": None if self.after is None else dict(self.after),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        before, after = (None if record[k] is None else dict(record[k]) for k in ("before", "after"))
        return cls(str(record["action"]), before, after)
