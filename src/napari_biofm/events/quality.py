"""How good detection is on one recording: known events are hidden in it, and looked for.

The average of the events that were found is scaled to several amplitudes and added to the recording where nothing was found;
the same detector with the same settings then looks for them (as Clements & Bekkers 1997 Biophys J 73:220 and Pernia-Andrade
et al. 2012 Biophys J 103:1429 did with simulated events in recorded noise). False events are counted in the recording's
own noise: events cut out, gaps filled from beside, phases random; and upside down, where events have one direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.events.classical.common import baseline, clean, noise_sd
from napari_biofm.events.detect import detect_events, taught_detector
from napari_biofm.events.false_events import false_rates
from napari_biofm.events.hidden_events import (
    FEWEST,
    LEVELS,
    MORE,
    average_wave,
    limit_of,
    next_level,
    recall_of,
    spots_for,
)
from napari_biofm.events.kinds import KINDS, KindSpec, kind_of_class
from napari_biofm.events.searched import Floats, SearchedSweep
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.types import (
    DetectionSettings,
    Detector,
    Events,
    Progress,
    RecordingError,
    Task,
    relay,
)

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.head import AdaptedHead


MOST_SAMPLES = 3_000_000  # looked at per level; a longer recording is represented by its first part
FEWEST_SAMPLES = 64  # of a sweep that is looked at


@dataclass(frozen=True)
class DetectionQuality:
    """What a detector finds on one channel of a recording.

    Attributes
    ----------
    channel : number. kind : of the events. unit : of amplitudes. n_found : events found in the recording as it is.
    typical : amplitude of the average event; NaN where there are too few events for one.
    amplitude, recall : (n_levels,) of hidden events, and which share of them was found.
    hidden : events hidden per level.
    limit_50, limit_95 : amplitude from which 50 and 95 % are found; NaN where no level reaches that.
    false_event_free, false_inverted : false events per minute in the recording's noise, and upside down (NaN where events
        of the kind have either direction).
    noise : robust standard deviation of the noise, in `unit`. seconds : looked at.
    why : what could not be measured, "" if nothing.
    """

    channel: int
    kind: str
    unit: str
    n_found: int
    typical: float
    amplitude: Floats
    recall: Floats
    hidden: int
    limit_50: float
    limit_95: float
    false_event_free: float
    false_inverted: float
    noise: float
    seconds: float
    why: str

    @property
    def false_events_per_min(self) -> float:
        """The larger of the two rates."""
        return float(np.fmax(self.false_event_free, self.false_inverted))

    def as_json(self) -> dict[str, Any]:
        """Return everything as numbers and words; null where it could not be measured."""

        def plain(value: float) -> float | None:
            return float(f"{value:.6g}") if np.isfinite(value) else None

        return {
            "channel": self.channel, "kind": self.kind, "unit": self.unit, "n_found": self.n_found,
            "typical_amplitude": plain(self.typical),
            "amplitude": [plain(a) for a in self.amplitude], "recall": [plain(r) for r in self.recall],
            "hidden_per_amplitude": self.hidden,
            "limit_50": plain(self.limit_50), "limit_95": plain(self.limit_95),
            "false_events_per_min": plain(self.false_events_per_min),
            "false_events_per_min_event_free": plain(self.false_event_free),
            "false_events_per_min_inverted": plain(self.false_inverted),
            "noise_sd": plain(self.noise), "seconds": plain(self.seconds), "why": self.why,
        }  # fmt: skip

    def sentence(self) -> str:
        """Return one sentence for a methods text."""
        if not np.isfinite(self.false_events_per_min):
            return f"Detection on this recording could not be measured: {self.why}."
        rate = f"{self.false_events_per_min:.2g} false events per minute in the recording's own noise"
        if not len(self.recall):
            return f"Detection on this recording: {rate}; recall was not measured ({self.why})."

        def limit(value: float) -> str:
            return f"{value:.3g} {self.unit}" if np.isfinite(value) else "none of the amplitudes tried"

        return (
            f"Detection on this recording, by the recall of {self.hidden} events hidden per amplitude (the average of the found "
            f"ones, scaled): 50 % from {limit(self.limit_50)}, 95 % from {limit(self.limit_95)}; {rate}."
        )


def detection_quality(
    recording: Recording,
    detector: str = DEFAULT_DETECTOR,
    settings: DetectionSettings | None = None,
    channels: Sequence[int] | None = None,
    sweeps: Sequence[int] | None = None,
    *,
    head: AdaptedHead | None = None,
) -> Task[list[DetectionQuality]]:
    """Measure what a detector finds on a recording, one channel after the other.

    Parameters
    ----------
    recording, detector, settings, channels, sweeps, head : as in `detect_events`.

    Returns
    -------
    One DetectionQuality per channel.

    Raises
    ------
    RecordingError
        As `detect_events`.
    """
    settings = replace(settings or DetectionSettings(), all_scores=False)
    chosen = list(signal_channels(recording) if channels is None else channels)
    which = list(range(recording.n_sweeps) if sweeps is None else sweeps)
    out = []
    for i, channel in enumerate(chosen):
        part = _some_sweeps(recording, which, channel)
        found = yield from relay(
            detect_events(recording, detector, settings, [channel], part, head=head),
            i,
            len(chosen),
            "as it is",
        )
        finder = taught_detector(detector, head)
        one = yield from relay(
            _of_channel(recording, finder, settings, channel, part, found, head),
            i,
            len(chosen),
            "hidden events",
        )
        out.append(one)
        yield Progress(i + 1, len(chosen), one.sentence())
    return out


def _some_sweeps(recording: Recording, sweeps: Sequence[int], channel: int) -> list[int]:
    """Return the first sweeps that hold no more samples than are looked at; one at least."""
    sizes = np.cumsum([recording.n_samples(sweep, channel) for sweep in sweeps])
    return list(sweeps[: max(1, int(np.searchsorted(sizes, MOST_SAMPLES, side="right")))])


def _of_channel(
    recording: Recording,
    finder: Detector,
    settings: DetectionSettings,
    channel: int,
    sweeps: Sequence[int],
    found: Events,
    head: AdaptedHead | None,
) -> Task[DetectionQuality]:
    events = found[~np.isin(found["class"], ("artefact", "rejected"))]
    spec = _kind_of(events, settings, head)
    if spec is not None and spec.name in finder.kinds:
        settings = replace(settings, kind=spec.name)
    places = []
    for sweep in sweeps:
        signal = recording.sweep(sweep, channel)
        values = np.asarray(signal.values[:MOST_SAMPLES], np.float32)
        places.append(
            SearchedSweep(replace(signal, values=values), events["time_s"][events["sweep"] == sweep])
        )
    fs, unit = places[0].signal.sampling_rate, recording.channels[channel].unit
    seconds = sum(len(p.signal.values) for p in places) / fs
    nothing = [
        words for p in places for cleaned, words in [clean(p.signal, FEWEST_SAMPLES)] if cleaned is None
    ]
    if len(nothing) == len(places):
        empty, kind = np.zeros(0), spec.name if spec else settings.kind
        nan = np.nan
        return DetectionQuality(
            channel, kind, unit, 0, nan, empty, empty, 0, nan, nan, nan, nan, nan, seconds, nothing[0]
        )
    noise = float(np.nanmedian([_noise(p.signal.values) for p in places]))
    free, inverted = yield from false_rates(places, finder, settings, spec)
    base = DetectionQuality(
        channel, spec.name if spec else settings.kind, unit, len(events), np.nan, np.zeros(0), np.zeros(0), 0, np.nan,
        np.nan, free, inverted, noise, seconds, "",
    )  # fmt: skip
    if spec is None or spec.name == "channel":
        return replace(
            base, why="no events were found" if spec is None else "openings of channels have no one shape"
        )
    wave, peak, typical = average_wave(places, spec, events)
    if wave is None:
        return replace(base, why=f"{len(events)} events were found, {FEWEST} free of others make an average")
    spots = spots_for(places, spec, len(wave), peak)
    hidden = sum(len(s) for s in spots)
    if not hidden:
        return replace(base, typical=typical, why="the recording has no room for a hidden event")
    share: dict[float, float] = {}
    level: float | None = LEVELS[0]
    while level is not None:
        share[level] = yield from recall_of(places, spots, level * wave, peak, finder, settings, spec)
        words = f"{100 * share[level]:.0f} % of events of {level * typical:.3g} {unit} found"
        yield Progress(len(share), len(LEVELS) + MORE, words)
        level = next_level(share)
    levels = np.array(sorted(share))
    amplitude, recall = levels * abs(typical), np.array([share[k] for k in levels])
    return replace(
        base, typical=typical, amplitude=amplitude, recall=recall, hidden=hidden,
        limit_50=limit_of(amplitude, recall, 0.5), limit_95=limit_of(amplitude, recall, 0.95),
    )  # fmt: skip


def _kind_of(events: Events, settings: DetectionSettings, head: AdaptedHead | None) -> KindSpec | None:
    """Return the kind that is looked for: asked for, taught, or that of most events; None where nobody knows."""
    if settings.kind != "auto":
        return KINDS[settings.kind]
    if head is not None:
        return KINDS[head.kind]
    names = [kind for word in events["class"] if (kind := kind_of_class(str(word)))]
    return KINDS[max(set(names), key=names.count)] if names else None


def _noise(x: NDArray[np.float32]) -> float:
    """Return the robust standard deviation of a trace around its slow course."""
    kept = x[np.isfinite(x)]
    return noise_sd(kept - baseline(kept, max(10, len(kept) // 20))) if len(kept) > 20 else np.nan


def why_nothing(recording: Recording, channels: Sequence[int]) -> list[str]:
    """Return why a channel holds no events where its first sweep says so: constant, missing, too short, saturated."""
    found = []
    for channel in channels[:8]:
        signal = recording.sweep(0, channel)
        _, words = clean(replace(signal, values=np.asarray(signal.values[:MOST_SAMPLES], np.float32)), 16)
        if words:
            found.append(f"{recording.channels[channel].name}: {words}")
    return found


def report_of(
    results: Sequence[DetectionQuality], detector: str, settings: DetectionSettings
) -> dict[str, Any]:
    """Return what `quality.json` holds: the first channel's numbers at the top, and those of every channel.

    Raises
    ------
    RecordingError
        If no channel was looked at.
    """
    if not results:
        raise RecordingError("no channel to look at: name one with --channel")
    best = max(results, key=lambda r: (len(r.recall) > 0, -r.channel))
    return {
        "detector": detector, "preset": settings.preset, "options": dict(settings.options), **best.as_json(),
        "methods": best.sentence(), "channels": [r.as_json() for r in results],
    }  # fmt: skip
