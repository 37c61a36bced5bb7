"""Run a detector over the sweeps and channels of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_biofm.events import DEFAULT_DETECTOR, make_detector
from napari_biofm.events.classical.commands import mark_command_steps
from napari_biofm.events.options import option_values
from napari_biofm.events.table import join
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.types import DetectionSettings, Detector, Events, Progress, RecordingError, Task, relay

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.head import AdaptedHead


def provenance_of(
    detector: str, settings: DetectionSettings, channels: Sequence[int], head: AdaptedHead | None = None
) -> dict[str, Any]:
    """Return what a session notes of a detection: JSON-able, with the hash of physio-FM's weights.

    Parameters
    ----------
    detector : name in `events.DETECTORS`.
    settings : kind, preset and options that were asked for.
    channels : that were looked at; the first 64 are noted.
    head : what physio-FM was taught.
    """
    provenance: dict[str, Any] = {
        "detector": detector, "kind": settings.kind, "preset": settings.preset, "channels": list(channels[:64]),
    }  # fmt: skip
    if settings.options:
        provenance["options"] = dict(settings.options)
    if detector == DEFAULT_DETECTOR:
        from napari_biofm.events.physio_fm.weights import stock_hash

        provenance["weights_sha256"] = stock_hash()
    if head is not None:
        provenance["taught"] = list(head.classes)
    return provenance


def detect_events(
    recording: Recording,
    detector: str = DEFAULT_DETECTOR,
    settings: DetectionSettings | None = None,
    channels: Sequence[int] | None = None,
    sweeps: Sequence[int] | None = None,
    *,
    head: AdaptedHead | None = None,
) -> Task[Events]:
    """Find events in a recording, one channel of one sweep after the other.

    Parameters
    ----------
    recording : what to look at; samples are read piece by piece.
    detector : name in `events.DETECTORS`.
    settings : kind, preset and options.
    channels : all signal channels when None (see `signal_channels`).
    sweeps : all when None.
    head : what physio-FM was taught; other detectors cannot be taught.

    Returns
    -------
    Events
        One table; each step yields Progress whose payload is the events found so far in that step.

    Raises
    ------
    RecordingError
        If there is no such detector, it has no such option, or it cannot be taught.
    """
    settings = settings or DetectionSettings()
    finder = make_detector(detector)
    option_values(finder, settings)
    if head is not None:
        _teach(finder, head)
    chosen = list(signal_channels(recording) if channels is None else channels)
    which = list(range(recording.n_sweeps) if sweeps is None else sweeps)
    total, done, tables = max(1, len(chosen) * len(which)), 0, []
    for sweep in which:
        for channel in chosen:
            where = f"sweep {sweep}, {recording.channels[channel].name}"
            table = yield from relay(
                finder.detect(recording.sweep(sweep, channel), settings), done, total, where
            )
            table = mark_command_steps(table, recording, sweep, channel)
            done += 1
            tables.append(table)
            yield Progress(done, total, f"{where}: {len(table)} events", payload=table)
    return join(tables)


def _teach(detector: Detector, head: AdaptedHead) -> None:
    """Let a detector look for what was taught."""
    from napari_biofm.events.physio_fm.model import PhysioFM

    if not isinstance(detector, PhysioFM):
        raise RecordingError(f"the detector {detector.name} cannot be taught; use {DEFAULT_DETECTOR}.")
    head.check(detector)
    detector.adapted = head
