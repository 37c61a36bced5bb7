"""Which channel of a recording is the behaviour signal, and what its events are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.signals.behaviour import Behaviour, behaviour_from, behaviour_of, with_behaviour
from napari_biofm.types import RecordingError, SessionError


@dataclass(frozen=True)
class SetBehaviour:
    """Another behaviour signal in a recording.

    Attributes
    ----------
    recording : id in the session.
    before, after : what is said of it; None where it holds no behaviour signal.
    """

    kind: ClassVar[str] = "set behaviour"
    recording: str
    before: Behaviour | None
    after: Behaviour | None
    name: str = "set behaviour"

    @property
    def nbytes(self) -> int:
        return 200

    def apply(self, state: SessionState) -> None:
        recording = state.recording(self.recording)
        if behaviour_of(recording) != self.before:
            raise SessionError("The behaviour signal was changed in another way since.")
        try:
            changed = with_behaviour(recording, self.after)
        except RecordingError as error:
            raise SessionError(str(error)) from error
        state.put_recording(self.recording, changed)

    def inverse(self) -> SetBehaviour:
        return replace(self, before=self.after, after=self.before, name=undone(self.name))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "recording": self.recording,
            "before": None if self.before is None else dataclasses.asdict(self.before),
            "after": None if self.after is None else dataclasses.asdict(self.after),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        before, after = behaviour_from(record["before"]), behaviour_from(record["after"])
        return cls(str(record["recording"]), before, after, str(record["action"]))
