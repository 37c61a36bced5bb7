"""What the Trace dock gives to analyses: the shown recording, its events, all open recordings, and what a form may offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from napari_biofm.analyses.description import Analysis, Source, Takes
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.session import Session
from napari_biofm.signals.display import TraceLines
from napari_biofm.types import RecordingError

TAKES: tuple[Takes, ...] = ("recording", "recordings", "events", "traces")
_MOST_CHANNELS = 500


class TraceSources:
    """Hands the shown recording to analyses.

    Parameters
    ----------
    session : that holds it.
    shown : which recording is meant.
    lines : which channels and sweeps are drawn.
    cursors : returns where the cursors stand on the time axis, those of the baseline behind the others; none while hidden.
    """

    def __init__(
        self,
        session: Session,
        *,
        shown: Shown,
        lines: TraceLines,
        cursors: Callable[[], Sequence[tuple[float, float]]],
    ) -> None:
        self._session, self._shown, self._lines, self._cursors = session, shown, lines, cursors

    def source(self, analysis: Analysis) -> Source:
        """Return what an analysis works on.

        Raises
        ------
        RecordingError
            If no recording is open, or no traces of cells where they are needed.
        """
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            raise RecordingError("Open a recording first.")
        if "recordings" in analysis.takes:
            several = tuple(entry.recording for entry in self._session.recordings.values())
            return Source(f"{len(several)} recordings", recordings=several)
        if "traces" in analysis.takes and not recording.is_cells:
            raise RecordingError(f"{recording.name} holds no traces of cells: make them in the tab Movie.")
        wanted = "events" in (*analysis.takes, *analysis.optional)
        events = self._session.events(uid) if wanted else None
        return Source(recording.name, recording, events if events is not None and len(events) else None)

    def offers(self) -> Mapping[str, Sequence[str]]:
        """Return what forms may offer: channels, the shown sweep, the times of both cursors in the sweep."""
        recording, lines = self._shown.recording, self._lines
        if recording is None:
            return {}
        about = recording.channels[:_MOST_CHANNELS]
        offered = {
            "channel": [f"{i}: {c.name} ({c.unit})" for i, c in enumerate(about)],
            "sweep": [str(lines.sweep)],
        }
        names = (
            np.unique(self._session.events(self._shown.uid)["class"]) if self._shown.uid is not None else ()
        )
        offered["class"] = ["", *(str(name) for name in names if name not in NOT_EVENTS)]
        if lines.chosen is not None:
            offered["sweeps"] = [", ".join(map(str, lines.chosen))]
        spans, shift = self._cursors(), lines.to_axis(lines.sweep, 0.0)
        if spans:
            for role, ends in zip(("from", "to"), zip(*spans, strict=True), strict=True):
                offered[role] = [f"{max(0.0, at - shift):.9g}" for at in ends]
        return offered
