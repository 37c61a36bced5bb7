"""Sweeps of an NWB export: each channel of each sweep, clamped ones with their electrode; when each recording began."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from napari_biofm.session.snapshot import Saved
from napari_biofm.signals import Recording
from napari_biofm.signals.nwb_icephys import add_sweeps as write_sweeps
from napari_biofm.signals.nwb_icephys import safe_name


def session_start(saved: Saved) -> datetime | None:
    """Return when the earliest recording began, None where none says it."""
    return min((r.t0 for r in saved.recordings.values() if r.t0 is not None), default=None)


def starts_at(saved: Saved, uid: str) -> float:
    """Return the second of the session at which a recording began; 0 where it does not say."""
    recording, start = saved.recordings.get(uid), session_start(saved)
    if recording is None or recording.t0 is None or start is None:
        return 0.0
    return (recording.t0 - start).total_seconds()


def add_sweeps(
    nwb: Any,
    saved: Saved,
    uid: str,
    recording: Recording,
    regions: dict[str, Any],  # noqa: ARG001 (as `_add_traces`)
) -> list[dict[str, Any]]:
    """Write each channel of each sweep and its commands; an electrode carries the label of its cell.

    See `signals.nwb_icephys.add_sweeps`, which exports of one recording use, too.
    """
    return write_sweeps(
        nwb,
        recording,
        prefix=f"{safe_name(uid)}_",
        cell_of={a.channel: a.cell.label for a in saved.links if a.recording == uid},
        begin_s=starts_at(saved, uid),
    )


__all__ = ["add_sweeps", "safe_name", "session_start", "starts_at"]
