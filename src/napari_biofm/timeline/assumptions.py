"""What a clock takes for granted where the channel cannot tell, and whether pulses may be no frames at all."""

from __future__ import annotations

import numpy as np

from napari_biofm.timeline.explanations import Explanation
from napari_biofm.timeline.repair import trains
from napari_biofm.timeline.triggers import Pulses

FEW_PULSES = (
    3  # a frame has a pulse, or a pulse has two or three frames: with fewer pulses they may be stimuli
)
LONG_FILL = 3  # pulses put in beside each other: a row of lost pulses, or frames the camera did not take
OTHER_RATE = 0.05  # relative difference of two trains' periods


def assumptions(chosen: Explanation, pulses: Pulses, n: int) -> tuple[str, ...]:
    """Return what an explanation that agrees assumes: as many pulses as frames may be chance.

    Parameters
    ----------
    chosen : that was taken without asking.
    pulses : as recorded.
    n : frames of the movie.

    Returns
    -------
    Sentences; none where the recording shows that nothing came before and after.
    """
    if len(chosen.times) < 2 or len(pulses.times) < 2:
        return ()
    said = []
    frame = chosen.period
    before = float(chosen.times[0] - pulses.starts[0])
    if before < frame and len(pulses.stops):
        said.append(
            "Assumed: the movie began with the first pulse, though the recording began less than a frame before it. "
            "If the movie already ran, choose 'from-frame-N'."
        )
    after = float(pulses.stops[-1] - chosen.times[-1])
    if after < 1.2 * frame and pulses.stops[-1] > pulses.times[-1]:
        said.append(
            "Assumed: the movie ended with the last pulse, though the recording ended within a frame after it."
        )
    said += [*_trains(chosen, pulses, n), *_filled(chosen, pulses)]
    return tuple(said)


def _trains(chosen: Explanation, pulses: Pulses, n: int) -> list[str]:
    """Return what is assumed of trains that were left out, and of bursts that differ in length."""
    bounds = trains(pulses)
    if len(bounds) < 2:
        return []
    inside = [i for i, (a, b) in enumerate(bounds) if _covers(chosen, pulses, a, b)]
    outside = [i for i in range(len(bounds)) if i not in inside]
    periods = [float(np.median(np.diff(pulses.times[a:b]))) if b - a > 2 else float("nan") for a, b in bounds]
    own = [periods[i] for i in inside if np.isfinite(periods[i])]
    if not own:
        return []
    usual = float(np.median(own))
    if any(abs(periods[i] / usual - 1) < OTHER_RATE for i in outside):
        return [
            f"Assumed: only train {', '.join(str(i + 1) for i in inside)} of {len(bounds)} is the movie, because it has "
            f"{n} pulses; the others come at the same rate (a preview, or the movie with a pause)."
        ]
    sizes = {b - a for i, (a, b) in enumerate(bounds) if i in inside}
    if len(np.unique(pulses.sweeps)) > 1 and len(sizes) > 1:
        return [
            "Assumed: no pulse was lost at the edge of a sweep, though bursts have different numbers of pulses."
        ]
    if any(abs(p / usual - 1) > OTHER_RATE for p in own):
        return ["Assumed: trains of different rates all belong to the movie."]
    return []


def _covers(chosen: Explanation, pulses: Pulses, start: int, stop: int) -> bool:
    middle = pulses.times[(start + stop - 1) // 2]
    return bool(chosen.times[0] <= middle <= chosen.times[-1] + chosen.period)


def _filled(chosen: Explanation, pulses: Pulses) -> list[str]:
    """Return what is assumed of rows of pulses that were put in."""
    if chosen.pulses_per_frame != 1:
        return []
    nearest = np.clip(np.searchsorted(pulses.times, chosen.times), 1, len(pulses.times) - 1)
    off = np.minimum(
        np.abs(chosen.times - pulses.times[nearest]), np.abs(chosen.times - pulses.times[nearest - 1])
    )
    alone = np.concatenate([[False], off > 0.25 * chosen.period, [False]])
    edges = np.flatnonzero(np.diff(alone.astype(int)))
    longest = int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
    if longest < LONG_FILL:
        return []
    return [f"Assumed: {longest} pulses beside each other were lost, and the camera did not pause."]


def perhaps_no_frames(pulses: Pulses, n: int, rate: float | None) -> str:
    """Return why the pulses may be no frame pulses (stimuli, a shutter), "" where that is not likely.

    Parameters
    ----------
    pulses : as recorded.
    n : frames of the movie.
    rate : nominal frame rate, Hz, if known.
    """
    m = len(pulses.times)
    if m < 2 or m * FEW_PULSES >= n:
        return ""
    lasts = (
        f"the movie lasts {n / rate:.4g} s, the pulses {pulses.times[-1] - pulses.times[0]:.4g} s; "
        if rate
        else ""
    )
    return f"{lasts}{m} pulses are few for {n} frames: they may be stimuli or a shutter; then choose another channel."
