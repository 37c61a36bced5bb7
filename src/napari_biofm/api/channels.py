"""Single channels: which are open when, and what is published of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.signals import AnyRecording, WhichChannel, channels_of, opened

if TYPE_CHECKING:
    from napari_biofm.events.features.single_channels import ChannelSummary


@dataclass(frozen=True, eq=False)
class Idealization:
    """Open channels of every sweep.

    Attributes
    ----------
    n_open : (n_sweeps, n_samples) int8; shorter sweeps end in zeros.
    levels : (n_sweeps, n_levels) current of 0, 1, ... open channels above the baseline, in `unit`.
    baseline : (n_sweeps, n_samples) float32 current with all channels shut, in `unit`.
    unit : of levels and baseline.
    sampling_rate : Hz.
    probability : (n_sweeps,) that levels are read right: which is the shut one, how many channels stay open.
    dead_time_s : (n_sweeps,) dwells shorter than that are missed by the filter.
    delay_s : (n_sweeps,) by which the filter lets the trace lag behind `n_open`.
    notes : of each sweep, what cannot be told.
    """

    n_open: NDArray[np.int8]
    levels: NDArray[np.float64]
    baseline: NDArray[np.float32]
    unit: str
    sampling_rate: float
    probability: NDArray[np.float64]
    dead_time_s: NDArray[np.float64]
    delay_s: NDArray[np.float64]
    notes: tuple[tuple[str, ...], ...]


def idealize(recording: AnyRecording, *, channel: WhichChannel = None) -> Idealization:
    """Tell how many channels are open at each sample of a single-channel recording.

    Levels, their number and the noise are found by penalised likelihood, the filter is modelled, the baseline is
    followed. Times are those of the channels: the delay of the filter, estimated from its rise, is taken off.

    Parameters
    ----------
    recording : or its path.
    channel : counted from 0; None takes the first that is no command or trigger.

    Returns
    -------
    Idealization
        Open channels per sample, levels and baseline of every sweep.

    Raises
    ------
    RecordingError
        If there is no such channel.
    """
    from napari_biofm.events.channels.idealization import idealize as idealize_trace

    trace = opened(recording)
    chosen = channels_of(trace, channel)[0]
    results = [idealize_trace(trace.sweep(sweep, chosen)) for sweep in range(trace.n_sweeps)]
    length = max((len(one.n_open) for one in results), default=0)
    n_levels = max((len(one.levels) for one in results), default=1)
    n_open = np.zeros((len(results), length), np.int8)
    baseline = np.full((len(results), length), np.nan, np.float32)
    levels = np.full((len(results), n_levels), np.nan)
    for i, one in enumerate(results):
        n_open[i, : len(one.n_open)] = one.n_open
        baseline[i, : len(one.baseline)] = one.baseline
        levels[i, : len(one.levels)] = one.levels
    about = trace.channels[chosen]
    return Idealization(
        n_open,
        levels,
        baseline,
        about.unit,
        about.sampling_rate,
        np.array([one.probability for one in results]),
        np.array([one.dead_time_s for one in results]),
        np.array([one.delay_s for one in results]),
        tuple(one.notes for one in results),
    )


def channel_summary(recording: AnyRecording, *, channel: WhichChannel = None) -> list[ChannelSummary]:
    """Idealise a single-channel recording and return what is published of it, per sweep.

    Parameters
    ----------
    recording : or its path.
    channel : counted from 0; None takes the first that is no command or trigger.

    Returns
    -------
    list of ChannelSummary
        `values` (unit current, open probability, mean open and shut times, corrected for missed events with one
        channel), dwell and amplitude histograms with their fits, and `dwells`.

    Raises
    ------
    RecordingError
        If there is no such channel.
    """
    from napari_biofm.events.features.single_channels import summarize

    trace = opened(recording)
    chosen = channels_of(trace, channel)[0]
    return [summarize(trace.sweep(sweep, chosen)) for sweep in range(trace.n_sweeps)]
