"""What analyses of sweeps share: channels and sweeps as they were asked for, spans, smoothing, crossings, commands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

Floats = NDArray[np.float64]
CHANNEL_HELP = "Counted from 0; not given: the first of a cell."
SWEEPS_HELP = "Such as 0-5, 8; empty: all."


def picked_channel(recording: Recording, channel: int | None) -> int:
    """Return the channel asked for, or the first of a cell."""
    from napari_biofm.api.signals import channels_of

    return channels_of(recording, channel)[0]


def picked_sweeps(recording: Recording, text: str) -> list[int]:
    """Return the sweeps that a text names; all where it is empty."""
    from napari_biofm.signals.display.layout import parse_sweeps

    chosen = parse_sweeps(text, recording.n_sweeps)
    return list(range(recording.n_sweeps)) if chosen is None else chosen


def samples_between(
    recording: Recording, sweep: int, channel: int, start_s: float, stop_s: float
) -> tuple[int, int]:
    """Return first and one-past-last sample between two times, both included.

    Raises
    ------
    RecordingError
        If there is none.
    """
    fs, n = recording.channels[channel].sampling_rate, recording.n_samples(sweep, channel)
    first, last = max(0, int(np.ceil(start_s * fs - 1e-6))), min(n, int(np.floor(stop_s * fs + 1e-6)) + 1)
    if first >= last:
        raise RecordingError(
            f"no sample of {recording.name} lies between {start_s:g} and {stop_s:g} s of sweep {sweep}; it has "
            f"{n / fs:g} s"
        )
    return first, last


def boxcar(values: NDArray[np.floating], width: int) -> Floats:
    """Return the mean over `width` samples around each; at the ends over fewer."""
    data = np.asarray(values, np.float64)
    if width <= 1 or len(data) < 2:
        return data
    good = np.isfinite(data)
    kernel = np.ones(width + 1 - width % 2)
    total = np.convolve(np.where(good, data, 0), kernel)[len(kernel) // 2 :][: len(data)]
    count = np.convolve(good.astype(float), kernel)[len(kernel) // 2 :][: len(data)]
    return np.where(count > 0.5, total / np.maximum(count, 1), np.nan)


def extreme(values: Floats, sign: float) -> int:
    """Return where the values (times the sign) are largest; with sign 0 where they are farthest from 0; -1 without any."""
    data = np.abs(values) if sign == 0 else sign * values
    return int(np.nanargmax(data)) if np.isfinite(data).any() else -1


def command_between(
    recording: Recording, sweep: int, channel: int, first: int, last: int
) -> tuple[float, str]:
    """Return the median of the command between two samples and its unit; NaN and "" where nobody knows it."""
    command = recording.stimulus(sweep, channel, last)
    if command is None:
        return float("nan"), ""
    values = command.values[first:last]
    return (float(np.nanmedian(values)), command.unit) if np.isfinite(values).any() else (float("nan"), "")


def numbers_in(text: str, what: str) -> list[float]:
    """Return the numbers of a text such as "0.1, 0.15".

    Raises
    ------
    RecordingError
        If a part is no number.
    """
    try:
        return [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError as error:
        raise RecordingError(f"{what} {text!r}: give numbers with commas, such as 0.1, 0.15") from error


def mean_with_interval(stack: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return the mean over rows and the half length of its 95 % confidence interval (Student's t)."""
    from scipy import stats

    data = np.asarray(stack, np.float64)
    n = np.isfinite(data).sum(axis=0)
    mean = np.nansum(data, axis=0) / np.maximum(n, 1)
    mean[n == 0] = np.nan
    spread = np.sqrt(np.nansum((data - mean) ** 2, axis=0) / np.maximum(n - 1, 1))
    half = stats.t.ppf(0.975, np.maximum(n - 1, 1)) * spread / np.sqrt(np.maximum(n, 1))
    return mean, np.where(n > 1, half, np.nan)


def same_length(traces: Sequence[NDArray[np.floating]]) -> tuple[Floats, bool]:
    """Return traces as rows, cut to the shortest, and whether anything was cut."""
    n = min(map(len, traces))
    return np.array([np.asarray(one[:n], np.float64) for one in traces]), any(len(one) != n for one in traces)


def least_cut(recording: Recording, sweeps: Sequence[int], channel: int) -> tuple[Floats, tuple[str, ...]]:
    """Return the sweeps of a channel as rows, with a note where they had to be cut to the shortest."""
    stack, cut = same_length([recording.values(sweep, channel) for sweep in sweeps])
    return stack, ("sweeps of different length: cut to the shortest",) if cut else ()
