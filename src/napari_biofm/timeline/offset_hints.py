"""What helps to place a movie in the time of a recording: its activity, the spikes, and what is not covered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.curation import choose_cells
from napari_biofm.timeline.cell_positions import event_seconds
from napari_biofm.timeline.clock import Clock
from napari_biofm.types import Events, TimelineError

if TYPE_CHECKING:
    from napari_biofm.signals import Recording

MOST_CELLS = 64  # whose mean stands for the whole movie
SPIKES = ("AP", "spike")
NO_SPIKES = ("artefact", "rejected")


@dataclass(frozen=True, eq=False)
class CellWithSpikes:
    """A cell that was recorded both ways.

    Attributes
    ----------
    label : of the cell.
    trace : (n_frames,) its calcium.
    spikes : (n,) seconds of the recording.
    """

    label: int
    trace: NDArray[np.float32]
    spikes: NDArray[np.float64]


def activity_of_movie(
    recordings: Mapping[str, Recording], n_frames: int, linked: Collection[int] = (), movie: str = ""
) -> NDArray[np.float32] | None:
    """Return what the cells of a movie do, frame by frame: the linked ones, else the mean of those that are not rejected.

    Parameters
    ----------
    recordings : in the order they were opened; the latest traces of a movie of `n_frames` are taken.
    n_frames : of the movie.
    linked : labels of the cells that were recorded.
    movie : unique id of the movie's layer; traces that know another movie are left out.

    Returns
    -------
    (n_frames,), or None where there are no traces of this movie.
    """
    for recording in reversed(list(recordings.values())):
        if not recording.is_cells or recording.n_sweeps != 1 or recording.n_samples(0, 0) != n_frames:
            continue
        if movie and recording.measured_on is not None and recording.measured_on.movie != movie:
            continue
        channels = [c for c, channel in enumerate(recording.channels) if channel.label in linked]
        counted = choose_cells(recording).channels.tolist() or list(range(recording.n_channels))
        channels = channels or counted[:MOST_CELLS]
        return np.asarray(np.nanmean([recording.values(0, c) for c in channels], axis=0), np.float32)
    return None


def spike_seconds(recording: Recording, events: Events) -> NDArray[np.float64]:
    """Return the seconds of the events of a recording, (n,); none for traces of cells."""
    if recording.is_cells:
        return np.zeros(0)
    return event_seconds(events[~np.isin(events["class"], NO_SPIKES)], recording)


def scaled_activity(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return a trace between about 0 and 1: from its 1st to its 99.5th percentile; what is no number is 0."""
    low, high = np.nanpercentile(values, (1, 99.5))
    scaled = np.clip((values - low) / max(float(high - low), 1e-12), -0.05, 1.05)
    return np.asarray(np.nan_to_num(scaled))


def cell_with_spikes(
    recordings: Mapping[str, Recording],
    events: Events,
    uid: str,
    cells: Mapping[int, int],
    n_frames: int,
) -> CellWithSpikes:
    """Return the linked cell with most spikes that has a trace in the movie.

    Parameters
    ----------
    recordings : by their ids, in the order they were opened.
    events : of the recording `uid`.
    uid : the recording with the spikes.
    cells : channel -> label of the cell it was recorded from.
    n_frames : of the movie.

    Raises
    ------
    TimelineError
        If no channel is linked, there are no spikes, or the cell has no trace; with the remedy.
    """
    if not cells:
        raise TimelineError("Link a channel of the recording to its cell first, under 'Cells'.")
    fired = np.isin(events["class"], SPIKES)
    counts = {c: int((fired & (events["channel"] == c)).sum()) for c in cells}
    channel = max(counts, key=lambda c: counts[c])
    if not counts[channel]:
        raise TimelineError("No spikes yet: find them in the dock 'Traces and events' first.")
    label = cells[channel]
    for other in reversed(list(recordings.values())):
        known = {a.label: c for c, a in enumerate(other.channels) if a.label is not None}
        if label in known and other.n_samples(0, known[label]) == n_frames:
            rows = events[fired & (events["channel"] == channel)]
            trace = np.asarray(other.values(0, known[label]), np.float32)
            return CellWithSpikes(label, trace, event_seconds(rows, recordings[uid]))
    raise TimelineError(f"There is no trace of cell {label}: measure the traces under 'Cells' first.")


def uncovered(clock: Clock, recording: Recording) -> str:
    """Return in words which frames a recording has nothing for, "" where it covers the movie."""
    if recording.n_sweeps == 0:
        return ""
    last = recording.n_sweeps - 1
    start = float(recording.sweep_starts[0])
    stop = float(recording.sweep_starts[last]) + recording.duration(last)
    outside = int(((clock.times < start - 1e-9) | (clock.times > stop)).sum())
    if not outside:
        return ""
    return (
        f" {clock.recording} runs from {start:.4g} to {stop:.4g} s: {outside} frames lie outside it and show no "
        "events of it."
    )
