"""A region of a recording of cells accepted as a cell or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.signals.curation import Verdict, verdicts_of, with_verdicts
from napari_biofm.types import RecordingError, SessionError


@dataclass(frozen=True)
class JudgeCells:
    """Verdicts on cells of a recording.

    Attributes
    ----------
    recording : id in the session.
    changes : label, verdict before and verdict after of each cell; "" is none.
    """

    kind: ClassVar[str] = "judge cells"
    recording: str
    changes: tuple[tuple[int, Verdict, Verdict], ...]
    name: str = "judge cells"

    @property
    def nbytes(self) -> int:
        return 100 + 60 * len(self.changes)

    def apply(self, state: SessionState) -> None:
        recording = state.recording(self.recording)
        there = verdicts_of(recording)
        for label, before, _ in self.changes:
            if there.get(label, "") != before:
                raise SessionError(f"Cell {label} was judged in another way since.")
        try:
            changed = with_verdicts(recording, {label: after for label, _, after in self.changes})
        except RecordingError as error:
            raise SessionError(str(error)) from error
        state.put_recording(self.recording, changed)

    def inverse(self) -> JudgeCells:
        back = tuple((label, after, before) for label, before, after in self.changes)
        return replace(self, changes=back, name=undone(self.name))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "recording": self.recording,
            "changes": [list(one) for one in self.changes],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        changes = tuple(
            (int(label), cast("Verdict", str(before)), cast("Verdict", str(after)))
            for label, before, after in record["changes"]
        )
        return cls(str(record["recording"]), changes, str(record["action"]))
