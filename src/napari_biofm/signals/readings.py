"""What lies between two times of a trace, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording

MOST_SAMPLES = 2_000_000  # of a channel; longer spans are measured up to here


@dataclass(frozen=True)
class Reading:
    """One channel of one sweep between two times; values in `unit`.

    Attributes
    ----------
    t1, t2 : first and last sample, s from the start of the sweep.
    v1, v2 : values there; NaN in a gap.
    rms : root mean square about the mean.
    slope : of the straight line through all samples, unit/s.
    """

    channel: str
    unit: str
    t1: float
    t2: float
    v1: float
    v2: float
    mean: float
    rms: float
    slope: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """One line for people."""
        dt, rise = self.t2 - self.t1, self.v2 - self.v1
        length = f"{dt:.5g} s" if dt >= 10 else f"{dt * 1e3:.4g} ms"
        rate = f" ({1 / dt:.4g} Hz)" if dt > 0 else ""
        risen = f"{rise:.4g} {self.unit}" if np.isfinite(rise) else "unknown: a cursor is in a gap"
        return (
            f"{self.channel}: dt {length}{rate}, d{'V' if self.unit.endswith('V') else 'y'} {risen}, "
            f"slope {self.slope:.4g} {self.unit}/s, "
            f"mean {self.mean:.4g}, RMS {self.rms:.4g}, min {self.low:.4g}, max {self.high:.4g} {self.unit}"
        )


def readings(
    recording: Recording, start_s: float, stop_s: float, sweep: int = 0, channels: Sequence[int] | None = None
) -> list[Reading]:
    """Measure channels of a sweep between two times, ends included.

    Parameters
    ----------
    start_s, stop_s : seconds from the start of the sweep.
    channels : all by default; those without a finite sample in the span are left out.
    """
    results = []
    for channel in range(recording.n_channels) if channels is None else channels:
        properties, n = recording.channels[channel], recording.n_samples(sweep, channel)
        rate = properties.sampling_rate
        start = int(np.clip(np.ceil(start_s * rate - 1e-6), 0, n))
        stop = int(np.clip(np.floor(stop_s * rate + 1e-6) + 1, start, min(n, start + MOST_SAMPLES)))
        values = recording.values(sweep, channel, start, stop)
        reading = read_between(np.arange(start, stop) / rate, values, properties.name, properties.unit)
        if reading is not None:
            results.append(reading)
    return results


def read_between(
    times: NDArray[np.float64], values: NDArray[np.float32], channel: str, unit: str
) -> Reading | None:
    """Measure a span of samples; None if it holds none that are finite.

    Parameters
    ----------
    times, values : (n,) s and `unit`.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return None
    t, v = times[finite], values[finite].astype(np.float64)
    centred = t - t.mean()
    spread = float(np.dot(centred, centred))
    return Reading(
        channel, unit, float(times[0]), float(times[-1]), float(values[0]), float(values[-1]),
        float(v.mean()), float(v.std()),
        float(np.dot(centred, v - v.mean()) / spread) if spread > 0 else 0.0, float(v.min()), float(v.max()),
    )  # fmt: skip
