"""A channel's unit, name or scale put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.types import BiofmError, SessionError


@dataclass(frozen=True)
class SetUnit:
    """Another unit, name or factor for one channel of a recording.

    Attributes
    ----------
    recording : id in the session.
    channel : counted from 0.
    unit : unit from now on.
    channel_name : name from now on; None leaves it.
    factor : by which the samples are multiplied; 1 leaves them.
    reverse : whether the last change of the recording, which is this one, is taken back instead.
    """

    kind: ClassVar[str] = "set unit"
    recording: str
    channel: int
    unit: str
    channel_name: str | None = None
    factor: float = 1.0
    reverse: bool = False
    name: str = "set unit"

    @property
    def nbytes(self) -> int:
        return 200

    def apply(self, state: SessionState) -> None:
        recording = state.recording(self.recording)
        try:
            if self.reverse:
                changed = recording.without_last_change(
                    self.channel, self.unit, self.channel_name, self.factor
                )
            else:
                changed = recording.with_channel(
                    self.channel, unit=self.unit, name=self.channel_name, factor=self.factor
                )
        except BiofmError as error:
            raise SessionError(str(error)) from error
        state.put_recording(self.recording, changed)

    def inverse(self) -> SetUnit:
        return replace(self, reverse=not self.reverse, name=undone(self.name))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "recording": self.recording,
            "channel": self.channel,
            "unit": self.unit,
            "channel_name": self.channel_name,
            "factor": self.factor,
            "reverse": self.reverse,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        name = record["channel_name"]
        return cls(
            str(record["recording"]),
            int(record["channel"]),
            str(record["unit"]),
            None if name is None else str(name),
            float(record["factor"]),
            bool(record["reverse"]),
            str(record["action"]),
        )
