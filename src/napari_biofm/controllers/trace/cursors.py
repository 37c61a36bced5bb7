"""Two pairs of cursors: what lies between them in the shown sweep, with the numbers of the verb `cursors`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_biofm.analyses.ephys.cursors import CursorParameters, measured_in_words
from napari_biofm.signals.display import TraceLines

Span = tuple[float, float]  # places on the time axis, or seconds of a sweep


@dataclass(frozen=True)
class HowMeasured:
    """What is measured between the cursors beside their times.

    Attributes
    ----------
    polarity : of the peak: "largest", "up" or "down".
    mean_ms : the peak is the extreme of means over this time, ms.
    """

    polarity: str = "largest"
    mean_ms: float = 0.0


class CursorMeasures:
    """Measures the shown channels of the current sweep.

    Parameters
    ----------
    lines : which recording, sweep and channels are drawn, and where a sweep lies on the time axis.
    """

    def __init__(self, lines: TraceLines) -> None:
        self._lines = lines
        self.how = HowMeasured()

    def in_sweep(self, span: Span) -> Span:
        """Return the seconds of the current sweep at places on the time axis."""
        shift = self._lines.to_axis(self._lines.sweep, 0.0)
        return span[0] - shift, span[1] - shift

    def on_axis(self, span: Span) -> Span:
        """Return the places on the time axis of seconds of the current sweep."""
        shift = self._lines.to_axis(self._lines.sweep, 0.0)
        return span[0] + shift, span[1] + shift

    def values(self, baseline: Span, peak: Span) -> dict[str, object]:
        """Return the values of the analysis `cursors` for cursors at places on the time axis."""
        a, b, c, d = (max(0.0, at) for span in (baseline, peak) for at in self.in_sweep(span))
        times = {"baseline_from_s": a, "baseline_to_s": b, "peak_from_s": c, "peak_to_s": d}
        channel = self._lines.channels[0] if self._lines.channels else None
        return times | {"polarity": self.how.polarity, "mean_ms": self.how.mean_ms, "channel": channel}

    def texts(self, baseline: Span, peak: Span) -> list[str]:
        """Return a line for each shown channel of the current sweep."""
        lines = self._lines
        if lines.recording is None:
            return []
        p = CursorParameters(**self.values(baseline, peak))  # type: ignore[arg-type]
        return [
            measured_in_words(lines.recording, replace(p, channel=channel), channel, lines.sweep)
            for channel in lines.channels
        ]
