"""Recordings and their quality in words, one line per fact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_biofm.signals.quality import Quality
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import same_quantity


class Remark(NamedTuple):
    """A line of text, and whether it needs attention."""

    text: str
    warns: bool = False


def describe_recording(recording: Recording) -> list[str]:
    """Return what a file says about itself."""
    lines = [
        f"{recording.format}, {recording.n_sweeps} sweep{'s' * (recording.n_sweeps != 1)}, "
        f"{recording.total_duration:.4g} s in all"
    ]
    if recording.protocol:
        lines.append(f"Protocol: {recording.protocol}")
    if recording.t0 is not None:
        lines.append(f"Recorded {recording.t0:%Y-%m-%d %H:%M:%S}")
    if recording.command_unknown:
        lines.append(f"Command unknown: {recording.command_unknown}")
    if recording.comment:
        lines.append(recording.comment[:300])
    return lines + [f"{tag.time_s:.2f} s: {tag.comment}" for tag in recording.tags[:20]]


def describe_quality(quality: Quality) -> list[Remark]:
    """Return the noise, hum, drift, access resistance and flags of a trace."""
    unit, hum = quality.unit, quality.hum
    loud = hum.rms > 0.5 * quality.noise_rms and hum.share > 0.02
    text = f"Hum at {hum.frequency:.0f} Hz: {hum.rms:.3g} {unit} RMS, {hum.share:.0%} of the power"
    remarks = [
        Remark(f"Noise: {quality.noise_rms:.3g} {unit} RMS about a mean of {quality.mean:.4g} {unit}"),
        Remark(text + ": check the grounding, or filter a copy" * loud, loud),
        Remark(f"Drift: {quality.drift_per_s:.3g} {unit}/s"),
    ]
    if quality.access is not None:
        a = quality.access
        remarks.append(
            Remark(
                f"Test pulse of {a.step * 1e3:.3g} mV: access resistance {a.access_resistance / 1e6:.3g} MOhm, "
                f"input resistance {a.input_resistance / 1e6:.4g} MOhm, "
                f"capacitance {a.capacitance * 1e12:.3g} pF, tau {a.tau * 1e3:.3g} ms"
            )
        )
    elif same_quantity(unit, "A"):
        remarks.append(
            Remark("Access resistance: no square voltage step of 1 to 40 mV in this sweep's command")
        )
    for name, spans in (("saturated", quality.flags.saturated), ("flat or missing", quality.flags.dropouts)):
        n = int(np.sum(spans[:, 1] - spans[:, 0])) if len(spans) else 0
        stretches = "stretch" if len(spans) == 1 else "stretches"
        remarks.append(
            Remark(f"{len(spans)} {stretches} {name}, {n} samples", True) if n else Remark(f"Nothing {name}")
        )
    if quality.unit_hint is not None:
        remarks.append(Remark(f"The unit looks wrong: {quality.unit_hint.reason}", True))
    return remarks


def describe_pulses(quality: Quality, most: int = 200) -> list[str]:
    """Return the test pulses of a trace, and their mean where there are several."""
    names = [
        f"Test pulse {i + 1}: {step * 1e3:.3g} mV at {start:.4g} s"
        for i, (start, step) in enumerate(quality.pulses[:most])
    ]
    return [*names, "Mean of all pulses like the first"] if len(names) > 1 else names
