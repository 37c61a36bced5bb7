"""What the command of a recording tells: its epochs, and pipette and cell over the sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_biofm.api.signals import AnyRecording, WhichChannel, channels_of, opened
from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.types import DetectionSettings, Kind, RecordingError, run_task

if TYPE_CHECKING:
    from napari_biofm.events.recognising import KindChoice
    from napari_biofm.signals.stability import Rule


def epochs(recording: AnyRecording, *, channel: WhichChannel = None) -> list[dict[str, Any]]:
    """List the epochs of the command of every sweep.

    Parameters
    ----------
    recording : or its path.
    channel : whose command is meant, counted from 0, or "all"; None takes those of cells.

    Returns
    -------
    One row per epoch: sweep, channel, epoch (letter, "" where it only holds), kind ("hold", "step", "ramp" ...),
    start_s, stop_s, start, stop (samples), before, level, unit, used (1 for the one that features are measured in),
    test_pulse (1 for those that access resistance is measured with), source ("protocol", "recorded", "waveform").

    Raises
    ------
    RecordingError
        If there is no such channel.
    """
    from napari_biofm.signals.steps import epoch_rows

    trace = opened(recording)
    return epoch_rows(trace, channels_of(trace, channel))


def membrane(
    recording: AnyRecording,
    *,
    channel: WhichChannel = None,
    epoch: str | None = None,
    rule: Rule | None = None,
) -> list[dict[str, Any]]:
    """Measure access resistance, membrane resistance, capacitance and holding current of every sweep.

    Parameters
    ----------
    recording : in voltage clamp, or its path.
    channel : counted from 0, or "all"; None takes those of cells.
    epoch : letter or number of the step that is measured; None takes the test pulse.
    rule : which sweeps are marked as excluded.

    Returns
    -------
    One row per sweep, with the columns of `signals.stability.COLUMNS`.

    Raises
    ------
    RecordingError
        If no sweep has a test pulse, or there is no such channel or epoch.
    """
    from napari_biofm.signals.stability import membrane_over_time

    trace = opened(recording)
    rows = membrane_over_time(trace, channels_of(trace, channel), rule, epoch=epoch)
    if not rows:
        raise RecordingError(
            f"{trace.name} has no test pulse: a step of 1 to 30 mV from the holding level and back, the same in "
            "every sweep; `epochs` lists what there is, and epoch=... takes another step"
        )
    return rows


def kinds_of(
    recording: AnyRecording,
    *,
    detector: str = DEFAULT_DETECTOR,
    kind: Kind = "auto",
    channel: WhichChannel = None,
) -> dict[int, KindChoice]:
    """Say what each channel is taken for: one decision for all of its sweeps.

    Parameters
    ----------
    recording : or its path.
    detector : "physio-fm" or "classical"; others look for one kind and take none.
    kind : what was asked for; "auto" lets the detector say.
    channel : counted from 0, or "all"; None takes those of cells.

    Returns
    -------
    channel -> `KindChoice`, with `kind`, `share` (how sure) and `text`.

    Raises
    ------
    RecordingError
        If there is no such detector or channel.
    """
    from napari_biofm.events.detect import channel_kinds

    trace = opened(recording)
    return run_task(channel_kinds(trace, detector, DetectionSettings(kind), channels_of(trace, channel)))
