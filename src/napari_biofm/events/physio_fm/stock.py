"""Events as the stock model finds them, whatever was taught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.beats import in_sequence
from napari_biofm.events.physio_fm.calcium import with_transients
from napari_biofm.events.physio_fm.decode import Candidates
from napari_biofm.events.physio_fm.evidence import calcium_evidence, in_calcium
from napari_biofm.events.physio_fm.inference import recognise
from napari_biofm.events.physio_fm.input_encoding import network_unit
from napari_biofm.events.physio_fm.judge import judge_of, judged, silent
from napari_biofm.events.physio_fm.long_action_potentials import with_long_action_potentials
from napari_biofm.events.physio_fm.plateaus import one_per_plateau
from napari_biofm.events.physio_fm.resampling import ResampledTrace, Resampling, choose_resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.streaming import decode_trace
from napari_biofm.events.physio_fm.table import as_events, likely_best, scores, threshold
from napari_biofm.events.physio_fm.units import unit_evidence
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

LONG_S = 5.0  # of a trace that is asked for one sure event
SLOW_RUNGS = (4, 5)  # halvings of the rate for postsynaptic events that decay in 60 to 300 ms
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
        from napari_biofm.events.channels.openings import opening_events

        return opening_events(signal)
    if kind == "ecg":  # beats are judged by the beats around them
        return (yield from _beats(runner, signal, settings))
    if kind == "calcium":  # an event is measured up to the next one
        return (yield from _transients(runner, signal, settings))
    if KINDS[kind].network == "spike" and judge_of(runner.card, kind) is not None:
        return (yield from _units(runner, signal, kind, settings))
    parts, best = [no_events()], 0.0
    for done, total, found in candidates(runner, signal, kind):
        part = as_events(signal, kind, found, runner.card, settings)
        parts.append(part)
        best = max(best, _best(kind, found, runner))
        yield Progress(done, total, f"{kind}: {sum(map(len, parts))} events", part)
    events = cast("Events", np.concatenate(parts))
    if best < _sure(runner, kind):
        slow = yield from _slow_events(runner, signal, kind, settings, best)
        if slow is not None:
            return slow
    if kind == "ap":
        events = with_long_action_potentials(signal, events)
    return no_events() if _is_quiet(runner, signal, kind, settings, events) else events


def _sure(runner: NetworkRunner, kind: str) -> float:
    """Return the score that one event of a trace of postsynaptic events reaches; 0 for other kinds."""
    return float(runner.card["presets"].get(KINDS[kind].network, {}).get("sure", 0.0))


def _best(kind: str, found: Candidates, runner: NetworkRunner) -> float:
    """Return the highest score of the candidates that are no artefacts."""
    return float(scores(kind, found.logit, runner.card)[~found.is_artefact].max(initial=0.0))


def _slow_events(
    runner: NetworkRunner, signal: Trace, kind: str, settings: DetectionSettings, best: float
) -> Task[Events | None]:
    """Look on coarser rungs for events that last longer than a window shows; None unless one is sure there.

    Decays of 60 ms and more spread over so many samples of the first rungs that the network is half sure of each; on
    `SLOW_RUNGS` the same events look like any other.
    """
    parts, surest = [no_events()], 0.0
    for done, total, found in candidates(runner, signal, kind, SLOW_RUNGS):
        parts.append(_pointed(signal, as_events(signal, kind, found, runner.card, settings)))
        surest = max(surest, _best(kind, found, runner))
        yield Progress(done, total, f"{kind}: slow events")
    if surest < max(_sure(runner, kind), best):
        return None
    return cast("Events", np.concatenate(parts))


def _pointed(signal: Trace, events: Events) -> Events:
    """Give slow events the direction of the trace: its mean in 30 ms from the mark on, against 60 ms that end 20 ms earlier."""
    values = signal.values

    def mean(start: float, stop: float) -> float:
        a, b = (min(max(round(t * signal.sampling_rate), 0), len(values)) for t in (start, stop))
        here = np.asarray(values[a : max(b, a + 1)], np.float64)
        here = here[np.isfinite(here)]
        return float(here.mean()) if len(here) else np.nan

    for row in events:
        t = float(row["time_s"])
        step = mean(t, t + 0.03) - mean(t - 0.08, t - 0.02)
        if np.isfinite(step):
            row["amplitude"] = np.copysign(row["amplitude"], step)
    return events


def _is_quiet(
    runner: NetworkRunner, signal: Trace, kind: str, settings: DetectionSettings, events: Events
) -> bool:
    """Return whether a trace of some length has but half-sure events: noise has such, a recording surer ones too."""
    presets = runner.card["presets"].get(KINDS[kind].network, {})
    if settings.all_scores or "threshold" in settings.options or "sure" not in presets or not len(events):
        return False
    seconds = len(signal.values) / signal.sampling_rate
    return seconds >= LONG_S and float(events["score"].max()) < float(presets["sure"])


def candidates(
    runner: NetworkRunner, signal: Trace, kind: str, rungs: Sequence[int] = ()
) -> Iterator[tuple[int, int, Candidates]]:
    """Yield (samples done, samples in all, candidates) of a signal as a kind, in order of time.

    Parameters
    ----------
    rungs : how often the rate is halved, per view of the trace; those of the weights where none are given.
    """
    unit, factor = network_unit(signal, kind)
    rungs = rungs or runner.card["rungs"].get(kind) or runner.card["rungs"].get(KINDS[kind].network, [0])
    resamplings: list[Resampling] = [choose_resampling(signal.sampling_rate, kind, step) for step in rungs]
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
    if not settings.all_scores and "threshold" not in settings.options and len(beats):
        least = float(runner.card["presets"].get("ecg", {}).get("recording", 0.0))
        if (
            float(np.median(beats["score"])) < least
        ):  # noise has beats that are half sure, a heart has none such
            beats = no_events()
    yield Progress(1, 1, f"ecg: {len(beats)} events", beats)
    return beats


def _units(runner: NetworkRunner, signal: Trace, kind: str, settings: DetectionSettings) -> Task[Events]:
    """Find extracellular spikes: the network's word and that of the band of spikes, judged together."""
    found = yield from _collect(runner, signal, kind)
    if found is None:
        return no_events()
    found, score = judged_candidates(runner, signal, kind, found)
    events = as_events(
        signal, kind, found, runner.card, _with_threshold(runner, kind, found, score, settings), score
    )
    yield Progress(1, 1, f"{kind}: {len(events)} events", events)
    return events


def _transients(runner: NetworkRunner, signal: Trace, settings: DetectionSettings) -> Task[Events]:
    """Find calcium events: the balanced threshold is the recording's own, sizes are those of transients."""
    found = yield from _collect(runner, signal, "calcium")
    if found is None:
        return no_events()
    found, score = judged_candidates(runner, signal, "calcium", found)
    chosen = _with_threshold(runner, "calcium", found, score, settings)
    events = as_events(signal, "calcium", found, runner.card, chosen, score)
    if not settings.all_scores:
        events = one_per_plateau(signal, events)
    events = with_transients(signal, events, threshold("calcium", runner.card, chosen))
    yield Progress(1, 1, f"calcium: {len(events)} events", events)
    return events


def judged_candidates(
    runner: NetworkRunner, signal: Trace, kind: str, found: Candidates
) -> tuple[Candidates, NDArray[np.float32]]:
    """Return candidates and their calibrated scores, judged with what the raw trace says where there is a judge."""
    own, judge = scores(kind, found.logit, runner.card), judge_of(runner.card, kind)
    if judge is None:
        return found, own
    if kind == "calcium":
        return found, in_calcium(calcium_evidence(signal, found, own), own, judge)
    found, columns = unit_evidence(signal, found)
    return found, judged(columns, judge)


def _with_threshold(
    runner: NetworkRunner,
    kind: str,
    found: Candidates,
    score: NDArray[np.float32],
    settings: DetectionSettings,
) -> DetectionSettings:
    """Return settings with the threshold that suits one recording: nothing passes where no candidate is sure."""
    if "threshold" in settings.options:
        return settings
    judge, likely = judge_of(runner.card, kind), score[~found.is_artefact]
    least = threshold(kind, runner.card, settings)
    if settings.preset == "balanced" and (kind == "calcium" or judge is not None):
        least = likely_best(likely, 0.1 if judge is None else float(judge["least"]))
    if judge is not None and silent(likely, judge):
        least = max(least, float(judge.get("sure", 0.0)))
    return replace(settings, options={**settings.options, "threshold": least})
