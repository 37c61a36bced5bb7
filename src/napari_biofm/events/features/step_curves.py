"""Step curves: a measure of every sweep against its command, such as IV and FI curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.signals import Recording
from napari_biofm.types import Events, RecordingError

EVENT_RATE = "Events per second"  # FI and other rates against the command
MEASURES: Mapping[str, Callable[[NDArray[np.float32]], float]] = MappingProxyType(
    {
        "Mean": lambda v: float(np.nanmean(v)),
        "Peak (largest)": lambda v: float(np.nanmax(v)),
        "Peak (smallest)": lambda v: float(np.nanmin(v)),
        "Standard deviation": lambda v: float(np.nanstd(v)),
    }
)


@dataclass(frozen=True, eq=False)
class StepCurve:
    """A measure of every sweep against the command.

    Attributes
    ----------
    x : (n,) median command in the span, or the number of the sweep where the command is unknown.
    y : (n,) the measure.
    x_unit, y_unit : units; `x_unit` is "" for numbers of sweeps.
    y_name : what was measured, and of which channel.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_unit: str
    y_unit: str
    y_name: str

    @property
    def labels(self) -> tuple[str, str]:
        """Names of x and y with their units."""
        return f"Command ({self.x_unit})" if self.x_unit else "Sweep", f"{self.y_name} ({self.y_unit})"

    @property
    def slope(self) -> float | None:
        """Slope of the straight line through all points, `y_unit` per `x_unit`; None below three commands."""
        if not self.x_unit or len(np.unique(self.x)) < 3:
            return None
        return float(np.polyfit(self.x, self.y, 1)[0])

    @property
    def table(self) -> str:
        """The numbers, tab-separated, with a header."""
        rows = [f"{a:.6g}\t{b:.6g}" for a, b in zip(self.x, self.y, strict=True)]
        return "\n".join(["\t".join(self.labels), *rows])

    @property
    def text(self) -> str:
        """How many sweeps there are, and the slope with what it means for currents and potentials."""
        text, slope = f"{len(self.x)} sweeps.", self.slope
        if slope is None:
            return text
        text += f" Slope {slope:.4g} {self.y_unit}/{self.x_unit}."
        if (self.y_unit, self.x_unit) == ("pA", "mV"):
            text += f" Conductance {slope:.4g} nS."
        elif (self.y_unit, self.x_unit) == ("mV", "pA"):
            text += f" Resistance {slope * 1e3:.4g} MOhm."
        return text


def step_curve(
    recording: Recording,
    channel: int,
    start_s: float,
    stop_s: float,
    measure: str = "Mean",
    events: Events | None = None,
    sweeps: Sequence[int] | None = None,
) -> StepCurve:
    """Measure every sweep between two times, beside the command there.

    Parameters
    ----------
    recording : of one or several sweeps; those that end before `start_s` are left out.
    channel : that is measured.
    start_s, stop_s : seconds from the start of each sweep.
    measure : one of `MEASURES`, or `EVENT_RATE`, which counts `events`.
    events : of the recording; artefacts and rejected ones are not counted.
    sweeps : that are measured; all by default.

    Raises
    ------
    RecordingError
        If there is no such measure.
    """
    if measure != EVENT_RATE and measure not in MEASURES:
        raise RecordingError(f"No measure '{measure}'; there are: {', '.join([*MEASURES, EVENT_RATE])}.")
    properties = recording.channels[channel]
    x, y, x_unit = [], [], ""
    if events is not None:
        events = events[(events["channel"] == channel) & ~np.isin(events["class"], NOT_EVENTS)]
    for sweep in range(recording.n_sweeps) if sweeps is None else sweeps:
        n = recording.n_samples(sweep, channel)
        start, stop = (int(np.clip(round(t * properties.sampling_rate), 0, n)) for t in (start_s, stop_s))
        if stop <= start:
            continue
        if measure == EVENT_RATE:
            times = events["time_s"][events["sweep"] == sweep] if events is not None else np.zeros(0)
            y.append(float(np.sum((times >= start_s) & (times < stop_s)) / (stop_s - start_s)))
        else:
            y.append(MEASURES[measure](recording.values(sweep, channel, start, stop)))
        command = recording.stimulus(sweep, channel)
        if command is None or not np.isfinite(command.values[start:stop]).any():
            x.append(float(sweep))
        else:
            x.append(float(np.nanmedian(command.values[start:stop])))
            x_unit = command.unit
    rate = measure == EVENT_RATE
    y_name = f"{'Events' if rate else measure} of {properties.name}"
    return StepCurve(np.array(x), np.array(y), x_unit, "Hz" if rate else properties.unit, y_name)
