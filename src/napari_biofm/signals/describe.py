"""Recordings and their quality in words, one line per fact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_biofm.signals.membrane import MembraneTest
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
        remarks.append(Remark(describe_access(quality.access)))
    elif same_quantity(unit, "A"):
        remarks.append(
            Remark(
                "Access resistance: no test pulse (a step of 1 to 30 mV from the holding level and back, the same "
                "in every sweep) in this sweep's command"
            )
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


def describe_access(found: MembraneTest) -> str:
    """Return what a test pulse told of pipette and cell."""
    numbers = (
        ("access resistance", found.access_resistance * 1e-6, "MOhm"),
        ("membrane resistance", found.membrane_resistance * 1e-6, "MOhm"),
        ("input resistance", found.input_resistance * 1e-6, "MOhm"),
        ("capacitance", found.capacitance * 1e12, "pF"),
        ("tau", found.tau * 1e3, "ms"),
        ("holding current", found.holding_current * 1e12, "pA"),
    )
    text = ", ".join(f"{name} {value:.4g} {unit}" for name, value, unit in numbers if np.isfinite(value))
    reason = f" ({found.reason})" if found.reason else ""
    return f"Test pulse of {found.step * 1e3:.3g} mV: {text or 'nothing'}{reason}"


def describe_pulses(quality: Quality, most: int = 200) -> list[str]:
    """Return the test pulses of a trace, and their mean where there are several."""
    names = [
        f"Test pulse {i + 1}: {step * 1e3:.3g} mV at {start:.4g} s"
        for i, (start, step) in enumerate(quality.pulses[:most])
    ]
    return [*names, "Mean of all pulses like the first"] if len(names) > 1 else names
