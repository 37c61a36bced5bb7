"""Run a detector over the sweeps and channels of a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.events import DEFAULT_DETECTOR, make_detector
from napari_biofm.events.classical.commands import mark_command_steps
from napari_biofm.events.measuring.measure import measure_events
from napari_biofm.events.measuring.naming import SYNAPTIC, Potentials, synaptic_names
from napari_biofm.events.options import option_values
from napari_biofm.events.recognising import KindChoice, Recogniser, choose_kinds
from napari_biofm.events.table import join
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.signals.filters import bridged
from napari_biofm.types import (
    DetectionSettings,
    Detector,
    Events,
    Progress,
    RecordingError,
    Task,
    Trace,
    relay,
)

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.head import AdaptedHead

_BRIDGED_S = 0.25  # gaps in traces of cells that detectors do not see


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
    kinds: Mapping[int, KindChoice] | None = None,
) -> Task[Events]:
    """Find events in a recording, one channel of one sweep after the other.

    With the kind "auto" each channel gets one kind for all of its sweeps.

    Parameters
    ----------
    recording : what to look at; samples are read piece by piece.
    detector : name in `events.DETECTORS`.
    settings : kind, preset and options.
    channels : all signal channels when None (see `signal_channels`).
    sweeps : all when None.
    head : what physio-FM was taught; other detectors cannot be taught.
    kinds : what channels were taken for, of `channel_kinds`; None finds out.

    Returns
    -------
    Events
        One table of MEASURED_DTYPE: every event is measured on the trace, whoever found it. Each step yields
        Progress whose payload is the events found so far in that step.

    Raises
    ------
    RecordingError
        If there is no such detector, it has no such option, or it cannot be taught.
    """
    settings = settings or DetectionSettings()
    finder = taught_detector(detector, head)
    option_values(finder, settings)
    potentials = Potentials.from_options(settings.options)
    chosen = list(signal_channels(recording) if channels is None else channels)
    which = list(range(recording.n_sweeps) if sweeps is None else sweeps)
    total, done, tables = max(1, len(chosen) * len(which)), 0, []
    if kinds is None and head is None:
        kinds = yield from channel_kinds(recording, finder, settings, chosen)
    given = {c: replace(settings, kind=choice.kind) for c, choice in (kinds or {}).items()}
    for sweep in which:
        for channel in chosen:
            where = f"sweep {sweep}, {recording.channels[channel].name}"
            table = yield from relay(
                finder.detect(_without_short_gaps(recording, sweep, channel), given.get(channel, settings)),
                done,
                total,
                where,
            )
            table = mark_command_steps(table, recording, sweep, channel)
            signal = recording.sweep(sweep, channel)
            table = measure_events(signal, table, model=detector == DEFAULT_DETECTOR)
            if not settings.all_scores:
                table = distinct(table, signal.sampling_rate)
            table = _named(table, signal, potentials, () if head is None else head.classes)
            done += 1
            tables.append(table)
            yield Progress(done, total, f"{where}: {len(table)} events", payload=table)
    return join(tables)


def _without_short_gaps(recording: Recording, sweep: int, channel: int) -> Trace:
    """Return a trace as the detector sees it: bad frames of a movie, up to a quarter of a second, are bridged.

    A transient is longer than they are; detectors that begin anew after each gap would lose it.
    """
    signal = recording.sweep(sweep, channel)
    if not recording.is_cells:
        return signal
    longest = max(int(_BRIDGED_S * signal.sampling_rate), 1)
    return replace(signal, values=bridged(signal.values, longest))


def channel_kinds(
    recording: Recording, detector: str | Detector, settings: DetectionSettings, channels: Sequence[int]
) -> Task[dict[int, KindChoice]]:
    """Return what each channel is taken for: as the settings say, or one decision for all of its sweeps.

    Parameters
    ----------
    recording : whose sweeps are looked at where the settings say "auto".
    detector : or its name.
    settings : kind that was asked for.
    channels : counted from 0.

    Returns
    -------
    channel -> choice; none for detectors that look for one kind only.
    """
    finder = make_detector(detector) if isinstance(detector, str) else detector
    if settings.kind != "auto":
        return {c: KindChoice(c, settings.kind, 1.0, 0, given=True) for c in channels}
    if not isinstance(finder, Recogniser):
        return {}
    return (yield from choose_kinds(recording, finder, channels))


def detect_and_say(
    recording: Recording,
    detector: str,
    settings: DetectionSettings,
    channels: Sequence[int],
    *,
    head: AdaptedHead | None = None,
) -> Task[tuple[Events, dict[int, KindChoice]]]:
    """Find events, and say what each channel was taken for.

    Parameters
    ----------
    recording, detector, settings, channels, head : as in `detect_events`.

    Returns
    -------
    events, and channel -> choice (none where something was taught).
    """
    kinds: dict[int, KindChoice] = {}
    if head is None:
        kinds = yield from channel_kinds(recording, detector, settings, channels)
    events = yield from detect_events(recording, detector, settings, channels, head=head, kinds=kinds)
    return events, kinds


def distinct(events: Events, sampling_rate: float) -> Events:
    """Return a measured table in which no two synaptic events have one peak: the one with the better score stays.

    Parameters
    ----------
    events : of one channel of one sweep, of MEASURED_DTYPE.
    sampling_rate : Hz.
    """
    synaptic = np.isin(events["class"], SYNAPTIC)
    rows = np.flatnonzero(synaptic)
    rows = rows[np.argsort(events["time_s"][rows], kind="stable")]
    if len(rows) < 2:
        return events
    time_s, way = events["time_s"][rows], np.sign(events["amplitude"][rows])
    rise = np.nan_to_num(events["rise_s"][rows])
    near = np.diff(time_s) < np.maximum(1.5 / sampling_rate, 0.3 * np.minimum(rise[1:], rise[:-1]))
    near &= way[1:] == way[:-1]
    first_better = events["score"][rows[:-1]] >= events["score"][rows[1:]]
    gone = np.concatenate([rows[1:][near & first_better], rows[:-1][near & ~first_better]])
    return np.delete(events, gone)


def _named(events: Events, signal: Trace, potentials: Potentials, taught: Sequence[str]) -> Events:
    """Name synaptic events by the evidence there is; taught classes stay."""
    rows = np.isin(events["class"], SYNAPTIC) & ~np.isin(events["class"], list(taught))
    named = events.copy()
    named["class"][rows] = synaptic_names(
        events["amplitude"][rows], events["baseline"][rows], signal.unit, potentials, signal.holding
    )
    return named


def taught_detector(name: str, head: AdaptedHead | None = None) -> Detector:
    """Return a new detector by name that looks for what was taught, if anything was.

    Raises
    ------
    RecordingError
        If there is no such detector, or it cannot be taught.
    """
    finder = make_detector(name)
    if head is not None:
        _teach(finder, head)
    return finder


def _teach(detector: Detector, head: AdaptedHead) -> None:
    """Let a detector look for what was taught."""
    from napari_biofm.events.physio_fm.model import PhysioFM

    if not isinstance(detector, PhysioFM):
        raise RecordingError(f"the detector {detector.name} cannot be taught; use {DEFAULT_DETECTOR}.")
    head.check(detector)
    detector.adapted = head
