"""What a sequence of pulses may mean for the frames of a movie, and whether one meaning is certain.

Pulses and frames are counted. A reading of the pulses is certain if it accounts for every frame and
every pulse, or for every frame and whole trains of pulses between pauses. Pulses are dropped or put in
only where pulses and frames then agree. Everything else is an explanation that a person may choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_biofm.timeline.assumptions import assumptions, perhaps_no_frames
from napari_biofm.timeline.certain import certain
from napari_biofm.timeline.explanations import ClockUnclearError, Explanation, distinct
from napari_biofm.timeline.likely import likely
from napari_biofm.timeline.triggers import Pulses
from napari_biofm.types import TimelineError


def explain(pulses: Pulses, n_frames: int, frame_rate: float | None = None) -> list[Explanation]:
    """Return what the pulses may mean for a movie, the most likely first.

    Parameters
    ----------
    pulses : as recorded.
    n_frames : of the movie.
    frame_rate : nominal rate of the movie, Hz, if known.

    Raises
    ------
    TimelineError
        If the movie has no frames or the pulses are too few.
    """
    if n_frames < 1:
        raise TimelineError("The movie has no frames; open another one.")
    if len(pulses.times) < 2:
        raise TimelineError(f"Only {len(pulses.times)} pulse; at least two are needed.")
    sure = certain(pulses, n_frames, frame_rate)
    taken = {one.name for one in sure}
    others = [
        replace(one, name=f"{one.name}-b") if one.name in taken else one
        for one in likely(pulses, n_frames, frame_rate)
    ]
    return distinct([*sure, *others])


def decide(
    explanations: Sequence[Explanation],
    pulses: Pulses,
    n_frames: int,
    choice: str = "auto",
    frame_rate: float | None = None,
) -> Explanation:
    """Return the explanation that is chosen, or the one that is certain.

    Parameters
    ----------
    explanations : of `explain`.
    pulses, n_frames : that they explain.
    choice : name of an explanation, or "auto".
    frame_rate : nominal rate of the movie, Hz, if known.

    Returns
    -------
    The explanation; where it was taken without asking, `assumed` says what the channel cannot tell.

    Raises
    ------
    ClockUnclearError
        If none or several are certain; it carries them all.
    TimelineError
        If there is none of the chosen name.
    """
    names = ", ".join(one.name for one in explanations)
    if choice != "auto":
        for one in explanations:
            if one.name == choice:
                return one
        raise TimelineError(f"There is no explanation '{choice}' for these pulses; choose one of {names}.")
    agreeing = [one for one in explanations if one.agrees]
    if agreeing and (agreeing[0].name == "all" or len(agreeing) == 1):
        return replace(agreeing[0], assumed=assumptions(agreeing[0], pulses, n_frames))
    what = "fit in more than one way" if agreeing else "do not agree"
    lines = "; ".join(f"{one.name}: {one.text}" for one in explanations)
    message = f"{len(pulses.times)} pulses and {n_frames} frames {what}. Choose what happened: {lines}"
    if len(pulses.times) > n_frames:
        message += " If the camera took frames that the file lacks, give their numbers."
    doubt = perhaps_no_frames(pulses, n_frames, frame_rate)
    raise ClockUnclearError(f"{message} Or: {doubt}" if doubt else message, explanations, doubt)


def leave_out(explanation: Explanation, skipped: Sequence[int], n_frames: int) -> Explanation:
    """Return an explanation without the pulses of frames that are not in the file.

    Parameters
    ----------
    explanation : made for as many frames as the camera took: those in the file and the skipped ones.
    skipped : numbers of the frames that were not stored, counted from 0 on the camera.
    n_frames : of the file.

    Raises
    ------
    TimelineError
        If a number lies outside, or the rest is not as long as the file.
    """
    wanted = np.unique(np.asarray(skipped, int))
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= len(explanation.times)):
        raise TimelineError(f"Frames {wanted[0]} to {wanted[-1]} to leave out of {len(explanation.times)}.")
    times = np.delete(explanation.times, wanted)
    if len(times) != n_frames:
        raise TimelineError(f"{len(times)} frames are left, the movie has {n_frames}.")
    text = f"{explanation.text} {len(wanted)} frames that are not in the file were left out."
    return replace(explanation, times=times, text=text)
