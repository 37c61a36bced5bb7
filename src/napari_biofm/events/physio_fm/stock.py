"""Events as the stock model finds them, whatever was taught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from napari_biofm.events.physio_fm.beats import in_sequence
from napari_biofm.events.physio_fm.calcium import with_transients
from napari_biofm.events.physio_fm.decode import Candidates
from napari_biofm.events.physio_fm.inference import recognise
from napari_biofm.events.physio_fm.input_encoding import network_unit
from napari_biofm.events.physio_fm.resampling import ResampledTrace, Resampling, choose_resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.streaming import decode_trace
from napari_biofm.events.physio_fm.table import as_events, likely_best, scores, threshold
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Progress,
    RecordingError,
    Task,
    Trace,
    no_events,
    run_task,
)

SHORTEST = 16  # resampled samples; below that there is nothing to see


def check(signal: Trace) -> None:
    """Raise RecordingError where a signal cannot be worked on."""
    rate = signal.sampling_rate
    if not np.isfinite(rate) or rate <= 0:
        raise RecordingError(
            f"sampling rate {rate} Hz of sweep {signal.sweep}: give the rate in Hz, above 0."
        )
    shape = getattr(signal.values, "shape", (len(signal.values),))
    if len(shape) != 1:
        raise RecordingError(f"a signal of shape {shape}: give one channel of one sweep, (n_samples,).")


def detect_stock(runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Task[Events]:
    """Find events as the stock model does; see `PhysioFM.detect`.

    Raises
    ------
    RecordingError
        If the sampling rate is no positive number or the signal is not one channel of one sweep.
    """
    check(signal)
    kind = settings.kind if settings.kind != "auto" else recognise(runner, signal)[0]
    if kind == "channel":
        from napari_biofm.events.channels.idealization import opening_events

        return opening_events(signal)
    if kind == "ecg":  # beats are judged by the beats around them
        return (yield from _beats(runner, signal, settings))
    if kind == "calcium":  # an event is measured up to the next one
        return (yield from _transients(runner, signal, settings))
    parts: list[Events] = [no_events()]
    for done, total, found in candidates(runner, signal, kind):
        part = as_events(signal, kind, found, runner.card, settings)
        parts.append(part)
        yield Progress(done, total, f"{kind}: {sum(map(len, parts))} events", part)
    return cast("Events", np.concatenate(parts))


def candidates(runner: NetworkRunner, signal: Trace, kind: str) -> Iterator[tuple[int, int, Candidates]]:
    """Yield (samples done, samples in all, candidates) of a signal as a kind, in order of time."""
    unit, factor = network_unit(signal, kind)
    resamplings: list[Resampling] = [
        choose_resampling(signal.sampling_rate, kind, step) for step in runner.card["rungs"].get(kind, [0])
    ]
    trace = ResampledTrace(signal.values, resamplings[0], factor)
    if trace.length < SHORTEST:
        return
    others = [ResampledTrace(signal.values, resampling, factor) for resampling in resamplings[1:]]
    yield from decode_trace(runner, trace, others, unit, kind)


def all_candidates(runner: NetworkRunner, signal: Trace, kind: str) -> Candidates | None:
    """Return all candidates of a signal as a kind, heart beats in view of each other; None if there are none."""
    return run_task(_collect(runner, signal, kind))


def _collect(runner: NetworkRunner, signal: Trace, kind: str) -> Task[Candidates | None]:
    parts = []
    for done, total, part in candidates(runner, signal, kind):
        parts.append(part)
        yield Progress(done, total + 1, f"{kind}: looking for events")
    if not parts:
        return None
    joined = Candidates.join(parts)
    return in_sequence(joined, runner.card.get("beats")) if kind == "ecg" else joined


def _beats(runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Task[Events]:
    found = yield from _collect(runner, signal, "ecg")
    if found is None:
        return no_events()
    beats = as_events(signal, "ecg", found, runner.card, settings)
    yield Progress(1, 1, f"ecg: {len(beats)} events", beats)
    return beats


def _transients(runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Task[Events]:
    """Find calcium events: the balanced threshold is the recording's own, sizes are those of transients."""
    found = yield from _collect(runner, signal, "calcium")
    if found is None:
        return no_events()
    if settings.preset == "balanced" and "threshold" not in settings.options:
        likely = scores("calcium", found.logit, runner.card)[~found.is_artefact]
        settings = replace(settings, options={**settings.options, "threshold": likely_best(likely)})
    events = as_events(signal, "calcium", found, runner.card, settings)
    events = with_transients(signal, events, threshold("calcium", runner.card, settings))
    yield Progress(1, 1, f"calcium: {len(events)} events", events)
    return events
