"""Which frame of a movie is which second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.packing import pack, unpack
from napari_biofm.timeline import Clock
from napari_biofm.types import SessionError


@dataclass(frozen=True)
class SetClock:
    """Another clock for a movie.

    Attributes
    ----------
    image : unique id of the movie layer.
    before, after : the clock; None where there is none.
    """

    kind: ClassVar[str] = "set clock"
    image: str
    before: Clock | None
    after: Clock | None
    name: str = "set clock"

    @property
    def nbytes(self) -> int:
        return sum(clock.times.nbytes for clock in (self.before, self.after) if clock is not None)

    def apply(self, state: SessionState) -> None:
        if not _same(state.clock(self.image), self.before):
            raise SessionError("the movie has another clock than the one it was made on.")
        state.put_clock(self.image, self.after)

    def inverse(self) -> SetClock:
        return SetClock(self.image, self.after, self.before, undone(self.name))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "image": self.image,
            "before": clock_to_json(self.before),
            "after": clock_to_json(self.after),
            "clock": None if self.after is None else self.after.describe(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        before, after = clock_from_json(record["before"]), clock_from_json(record["after"])
        return cls(str(record["image"]), before, after, str(record["action"]))


def _same(a: Clock | None, b: Clock | None) -> bool:
    if a is None or b is None:
        return a is b
    return a is b or (np.array_equal(a.times, b.times) and (a.source, a.recording) == (b.source, b.recording))


def clock_to_json(clock: Clock | None) -> Record | None:
    """Return a clock for the log, JSON-able."""
    if clock is None:
        return None
    return {"times": pack(clock.times), "source": clock.source, "recording": clock.recording}


def clock_from_json(values: Mapping[str, Any] | None) -> Clock | None:
    """Return the clock that `clock_to_json` described."""
    if values is None:
        return None
    times = unpack(values["times"], np.dtype("<f8"))
    return Clock(times, str(values["source"]), str(values["recording"]))
