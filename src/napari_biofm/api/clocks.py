"""The clock of a movie from the frame pulses in a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_biofm.api.signals import AnyRecording, read_recording
from napari_biofm.signals import Recording
from napari_biofm.timeline.align import Alignment, align_to_channel, likely_trigger
from napari_biofm.timeline.triggers import Edge
from napari_biofm.types import TimelineError


def movie_clock(
    recording: AnyRecording,
    n_frames: int,
    *,
    channel: int | None = None,
    frame_rate: float | None = None,
    choice: str = "auto",
    skipped: Sequence[int] = (),
    edge: Edge = "auto",
) -> Alignment:
    """Find the frame pulses in a recording and give every frame of a movie its second.

    Parameters
    ----------
    recording : or its file.
    n_frames : of the movie.
    channel : that holds the pulses, counted from 0; without it the one that is named after frames.
    frame_rate : nominal rate of the movie, Hz, if known.
    choice : name of an explanation of the pulses, where they and the frames do not agree by themselves.
    skipped : numbers of frames the camera took but the file does not hold, counted from 0.
    edge : which edge begins a frame, "auto", "rising" or "falling".

    Returns
    -------
    The clock (`.clock.times`, (n_frames,) seconds from the start of the recording), the drift, and notes.

    Raises
    ------
    ClockUnclearError
        If pulses and frames do not agree, or in more than one way; `.explanations` says what they may mean.
    TimelineError
        If no channel is certain to hold frame pulses, or the channel holds none.
    """
    opened = recording if isinstance(recording, Recording) else read_recording(recording)
    if channel is None:
        channel = likely_trigger(opened)
    if channel is None:
        names = ", ".join(f"{i}: {one.name} ({one.unit})" for i, one in enumerate(opened.channels))
        raise TimelineError(
            f"{opened.name}: it is not certain which channel holds the frame pulses; choose one of {names}."
        )
    if not 0 <= channel < opened.n_channels:
        raise TimelineError(
            f"{opened.name}: there is no channel {channel}; it has channels 0 to {opened.n_channels - 1}."
        )
    name = opened.name if not isinstance(recording, (str, Path)) else Path(recording).name
    return align_to_channel(
        opened, channel, n_frames, frame_rate, name, choice=choice, skipped=skipped, edge=edge
    )
