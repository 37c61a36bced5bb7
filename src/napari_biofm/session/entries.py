"""What a session tells of a recording: its events, and the one under the mouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.events.reviewed import REVIEWED_DTYPE
from napari_biofm.types import Events

if TYPE_CHECKING:
    from napari_biofm.signals import Recording


@dataclass(frozen=True)
class Pointed:
    """The event under the mouse, in whatever view that is: a row of a recording's event table."""

    recording: str
    row: int


def _no_events() -> Events:
    return np.zeros(0, REVIEWED_DTYPE)


@dataclass(frozen=True, eq=False)
class RecordingEntry:
    """A recording in play and the events found in it; never changed in place."""

    recording: Recording
    events: Events = field(default_factory=_no_events)
    provenance: Mapping[str, Any] = field(default_factory=dict)
