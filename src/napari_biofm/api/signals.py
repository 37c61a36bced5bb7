"""Recordings: read them, find events, idealize channels, spike rates, forecasts, features, traces of movies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.images import read_masks
from napari_biofm.engine.warm import keep
from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.signals import Recording, read_part
from napari_biofm.signals import read_recording as read_file
from napari_biofm.signals.channels import signal_channels
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Kind,
    Labels,
    LazyArray,
    Preset,
    ProgressListener,
    RecordingError,
    run_task,
)

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.head import AdaptedHead
    from napari_biofm.events.physio_fm.model import PhysioFM
    from napari_biofm.events.recognising import KindChoice
    from napari_biofm.signals.calcium import CellTraces
    from napari_biofm.signals.calcium.settings import BadFrames, MovieValues, Neuropil

AnyRecording = Recording | str | Path
WhichChannel = int | Literal["all"] | Sequence[int] | None


def read_recording(
    path: str | Path,
    *,
    sampling_rate: float | None = None,
    unit: str | None = None,
    part: int | None = None,
    dataset: str | None = None,
) -> Recording:
    """Open a recording; samples are read when they are used.

    Parameters
    ----------
    path : ABF, HEKA, NWB, WFDB, CSV, NumPy, HDF5, suite2p, CaImAn and what neo reads.
    sampling_rate : Hz, where the file does not say.
    unit : of the values, where the file does not say, or says a wrong one; by channel as "1=mV,2=pA".
    part : of a file with several, counted from 0 as `napari-biofm info` lists them.
    dataset : of an HDF5 file with several that may be signals.

    Raises
    ------
    RecordingError
        If the file is missing, damaged, of no known format, or lacks what is not given.
    """
    options = {} if dataset is None else {"dataset": dataset}
    recording = read_file(Path(path), sampling_rate=sampling_rate, unit=unit, **options)
    return recording if part is None else read_part(recording, part)


def channels_of(recording: Recording, channel: WhichChannel, rejected: bool = False) -> list[int]:
    """Return the channel asked for, or those of cells: no commands, triggers or other signals.

    Parameters
    ----------
    recording : with its channels.
    channel : number from 0, several of them, "all" for every channel, or None for those of cells.
    rejected : whether None takes rejected cells, too.

    Raises
    ------
    RecordingError
        If the recording has no such channel, or None is given and all cells are rejected.
    """
    if channel is None:
        return signal_channels(recording, rejected)
    if channel == "all":
        return list(range(recording.n_channels))
    if not isinstance(channel, int | str):
        return [one for each in channel for one in channels_of(recording, each, rejected)]
    if not isinstance(channel, int):
        raise RecordingError(f"channel {channel!r} asked for: give its number, counted from 0, or 'all'")
    if not 0 <= channel < recording.n_channels:
        raise RecordingError(
            f"channel {channel} asked for in {recording.name}; it has 0 to {recording.n_channels - 1}"
        )
    return [channel]


def detect_events(
    recording: AnyRecording,
    *,
    detector: str = DEFAULT_DETECTOR,
    kind: Kind = "auto",
    preset: Preset = "balanced",
    channel: WhichChannel = None,
    sweeps: Sequence[int] | None = None,
    all_scores: bool = False,
    options: Mapping[str, float] | None = None,
    rise_s: float | None = None,
    decay_s: float | None = None,
    taught: AdaptedHead | str | Path | None = None,
    kinds: Mapping[int, KindChoice] | None = None,
    rejected: bool = False,
    progress: ProgressListener | None = None,
) -> Events:
    """Find events in a recording.

    Parameters
    ----------
    recording : or its path.
    detector : "physio-fm", or a classical method (`napari-biofm events --help` lists them).
    kind : "psc", "psp", "ap", "calcium", "channel", "spike", "loose", "ecg", or "auto": one decision
        per channel (see `kinds_of`).
    preset : "balanced" or "precise".
    channel : counted from 0, or "all"; None takes those of cells: no commands, triggers or other signals.
    sweeps : counted from 0; None takes all.
    all_scores : whether to return every candidate, whatever its score.
    options : of the detector, by name; of every detector `holding_mv`, `excitatory_mv`, `inhibitory_mv`.
    rise_s, decay_s : time constants of the template, for the detectors "template" and "deconvolution"; what is not
        given is learned from the recording.
    taught : what physio-FM was taught, or the path of its file.
    kinds : of `kinds_of`, where it was asked before; else it is asked for the kind "auto".
    rejected : whether rejected cells of a recording of cells are searched, too.
    progress : called with each step.

    Returns
    -------
    structured array (n_events,) of `types.MEASURED_DTYPE`: sweep, channel, time_s (from the start of the sweep), class,
    score, amplitude in `unit`, rise_s, decay_s and what else was measured on the trace. Rows of class "artefact" and
    "rejected" are no events.

    Raises
    ------
    RecordingError
        If there is no such channel, or the signal cannot be worked on.
    """
    from napari_biofm.events.detect import detect_events as task_of

    trace = opened(recording)
    shape = {name: value for name, value in (("rise_s", rise_s), ("decay_s", decay_s)) if value is not None}
    settings = DetectionSettings(kind, preset, all_scores, {**shape, **(options or {})})
    task = task_of(
        trace,
        detector,
        settings,
        channels_of(trace, channel, rejected),
        sweeps,
        head=_head_of(taught),
        kinds=kinds,
    )
    return run_task(task, progress)


def _head_of(taught: AdaptedHead | str | Path | None) -> AdaptedHead | None:
    """Return what was taught, read from its file where that is given."""
    if isinstance(taught, str | Path):
        from napari_biofm.events.physio_fm.head import AdaptedHead

        return AdaptedHead.load(Path(taught))
    return taught


def detection_quality(
    recording: AnyRecording,
    *,
    detector: str = DEFAULT_DETECTOR,
    kind: Kind = "auto",
    preset: Preset = "balanced",
    channel: WhichChannel = None,
    sweeps: Sequence[int] | None = None,
    options: Mapping[str, float] | None = None,
    taught: AdaptedHead | str | Path | None = None,
    progress: ProgressListener | None = None,
) -> dict[str, Any]:
    """Measure how good detection is on one recording, with events hidden in it.

    Parameters
    ----------
    recording, detector, kind, preset, channel, sweeps, options, taught, progress : as in `detect_events`.

    Returns
    -------
    dict that JSON can hold: `amplitude` and `recall` of hidden events (the average of the found ones, scaled), `limit_50` and
    `limit_95` (amplitude from which 50 and 95 % are found; None where no amplitude tried reaches that),
    `false_events_per_min`, `unit`, `noise_sd`, `why` (what could not be measured), `methods` (a sentence), and the same per
    channel under `channels`.

    Raises
    ------
    RecordingError
        If there is no such channel, or the signal cannot be worked on.
    """
    from napari_biofm.events.quality import detection_quality as task_of
    from napari_biofm.events.quality import report_of

    trace = opened(recording)
    settings = DetectionSettings(kind, preset, False, dict(options or {}))
    task = task_of(trace, detector, settings, channels_of(trace, channel), sweeps, head=_head_of(taught))
    return report_of(run_task(task, progress), detector, settings)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quantiles of the samples to come.

    Attributes
    ----------
    quantiles : (n_quantiles, horizon), in the unit of the signal.
    q : (n_quantiles,) which quantiles.
    time_s : (horizon,) from the start of the sweep.
    """

    quantiles: NDArray[np.float32]
    q: NDArray[np.float64]
    time_s: NDArray[np.float64]


def forecast(
    recording: AnyRecording, at_s: float, horizon: int, *, sweep: int = 0, channel: WhichChannel = None
) -> Forecast:
    """Say what comes next, from what lies before a moment only.

    Parameters
    ----------
    recording : or its path.
    at_s : moment, seconds from the start of the sweep.
    horizon : number of samples.
    sweep, channel : counted from 0; channel None takes the first that is no command or trigger.

    Raises
    ------
    RecordingError
        If nothing lies before the moment, or the horizon is not positive.
    """
    trace = opened(recording)
    signal = trace.sweep(sweep, channels_of(trace, channel)[0])
    return Forecast(*physio_fm().forecast(signal, at_s, horizon))


def features(
    recording: AnyRecording,
    events: Events | None = None,
    *,
    channel: WhichChannel = None,
    detector: str = DEFAULT_DETECTOR,
    kind: Kind = "auto",
    epoch: str | None = None,
    rejected: bool = False,
    progress: ProgressListener | None = None,
) -> dict[str, NDArray[Any]]:
    """Describe every sweep and every event of a recording by numbers.

    Parameters
    ----------
    recording : or its path.
    events : any detector's table; None runs `detector`.
    channel : counted from 0, or "all"; None takes those of cells: no commands, triggers or other signals.
    detector, kind : used where no events are given.
    epoch : letter or number of the command's epoch that sweeps are measured in; None takes the one that varies
        across sweeps. The columns `epoch_...` say which was used.
    rejected : whether rejected cells of a recording of cells are described, too.
    progress : called with each step.

    Returns
    -------
    column name -> (n_rows,) array. `row` is "sweep" or "event"; names carry kind and unit, as `ap_half_width_ms`;
    what does not apply to a row is NaN. `events.features.table.definitions` says what each column means.
    """
    from napari_biofm.events.features.table import features as features_task

    trace = opened(recording)
    table = events
    if table is None:
        table = detect_events(
            trace, detector=detector, kind=kind, channel=channel, rejected=rejected, progress=progress
        )
    chosen = channels_of(trace, channel, rejected)
    return run_task(features_task(trace, table, chosen, epoch=epoch), progress)


def classify_rhythm(clips: Mapping[str, NDArray[Any]], sampling_rate: float) -> list[tuple[str, str, float]]:
    """Tell the rhythm of single-lead electrocardiogram clips.

    Parameters
    ----------
    clips : (n_samples,) each, by record.
    sampling_rate : Hz.

    Returns
    -------
    (record, label, probability); labels N (normal), A (atrial fibrillation), O (other), ~ (noise), as in the
    PhysioNet/CinC challenge 2017.
    """
    return [
        (str(r), str(label), float(p)) for r, label, p in physio_fm().classify(clips, sampling_rate, "af")
    ]


def traces(
    movie: LazyArray | str | Path,
    masks: Labels | str | Path,
    *,
    frame_rate: float | None = None,
    neuropil_factor: float | None = None,
    neuropil: Neuropil | None = None,
    correct_bleaching: bool = False,
    bad_frames: BadFrames = "exclude",
    dark_level: float | None = None,
    values: MovieValues = "auto",
    channel: int | None = None,
    plane: int | None = None,
    progress: ProgressListener | None = None,
) -> CellTraces:
    """Measure the brightness of every cell in every frame of a movie, and its dF/F.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices, or the path of one; never read whole.
    masks : (Y, X) labels, or the path of a label image.
    frame_rate : Hz; it goes before what the file says, and is needed where the file does not say.
    neuropil_factor : how much of the surround is subtracted; 0.7 if None.
    neuropil : "factor" subtracts that share from every cell, "regression" reads the share from each cell, "auto" takes
        the factor unless the cells clearly hold another share. None is "factor" where a factor is given, else "auto".
    correct_bleaching : whether the decay of the whole field is divided out of the z-scores; dF/F follows it anyway.
    bad_frames : what becomes of black, saturated and torn frames and of those without numbers: "exclude" makes them
        gaps, "bridge" draws lines over gaps of up to a second, "keep" takes what is there.
    dark_level : what a pixel without light reads; the file's, or an estimate, if None.
    values : "fluorescence", "dff" where the movie holds dF/F already, "auto" to let it be found out.
    channel, plane : of a file that holds several, counted from 0.
    progress : called with each step.

    Returns
    -------
    CellTraces
        `labels (n,)`, and `raw`, `neuropil`, `dff`, `zscore` (n, T); `save` writes them.

    Raises
    ------
    RecordingError
        If shapes do not fit, there are no cells, or nobody says the frame rate.
    """
    from napari_biofm.images.io.movie_facts import MovieFacts
    from napari_biofm.images.io.movies import Movie, open_movie
    from napari_biofm.signals.calcium import TraceSettings, extract_traces
    from napari_biofm.signals.calcium.settings import neuropil_choice
    from napari_biofm.timeline.metadata import chosen_rate

    if isinstance(movie, str | Path):
        name, source = Path(movie).name, open_movie(Path(movie), channel, plane)
    else:
        name, source = "the movie", Movie(movie, MovieFacts())
    rate, said = chosen_rate(frame_rate, None, source.frame_rate)
    if rate is None:
        raise RecordingError(f"{name} does not say its frame rate; give it in Hz (--frame-rate HZ)")
    shape = tuple(int(n) for n in source.frames.shape[1:])
    labels = read_masks(masks, shape) if isinstance(masks, str | Path) else np.asarray(masks)
    from_file = dark_level is None and source.dark_level is not None
    factor, way = neuropil_choice(neuropil_factor, neuropil)
    settings = TraceSettings(
        neuropil_factor=factor, correct_bleaching=correct_bleaching, bad_frames=bad_frames,
        dark_level=source.dark_level if from_file else dark_level,
        dark_source=f"of the header of {name}" if from_file else "", values=values, neuropil=way,
    )  # fmt: skip
    found = run_task(extract_traces(source.frames, labels, rate, settings), progress)
    told = tuple(one for one in (source.message, said) if one)
    return dataclasses.replace(found, warnings=(*told, *found.warnings))


def opened(recording: AnyRecording) -> Recording:
    """Return the recording of a path; a recording is returned as it is.

    Parameters
    ----------
    recording : it, or the path of its file.
    """
    return recording if isinstance(recording, Recording) else read_recording(recording)


def physio_fm() -> PhysioFM:
    """Return the stock model, kept in this process."""
    from napari_biofm.events.physio_fm import PhysioFM

    return keep(("api", "physio-fm"), PhysioFM)
