"""How traces of cells are made of a movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from napari_biofm.types import RecordingError

BadFrames = Literal["exclude", "bridge", "keep"]
MovieValues = Literal["auto", "fluorescence", "dff"]
Neuropil = Literal["auto", "factor", "regression"]
USUAL_FACTOR = 0.7


@dataclass(frozen=True)
class TraceSettings:
    """How traces are made.

    Attributes
    ----------
    neuropil_factor : share of the neuropil that is subtracted from the cell; 0 leaves it in.
    neuropil : "factor" takes that share for all cells, "regression" reads it from each cell over frames without its own
        activity (the factor stays where the surround does not change enough), "auto" takes the factor unless the cells
        clearly hold another share, and reads it from each cell then.
    inner, outer : pixels between the cell and its annulus, and to the annulus' far side.
    percentile, window : of the running baseline F0, and its length in seconds.
    correct_bleaching : divide by a fitted exponential decay of the whole field, so that z-scores do not fade with the
        light; F0, and with it dF/F, follows the decay either way.
    check_motion : measure how far the field moves.
    bad_frames : what becomes of black, saturated and torn frames and of those without numbers: "exclude" makes them
        gaps (NaN), "bridge" draws a straight line over gaps of up to a second, "keep" takes what numbers there are.
    dark_level : what a pixel without light reads, in units of the movie; None takes it from the movie.
    dark_source : where a dark level that was given comes from, for messages; "" where the user typed it.
    values : what the pixels are: "fluorescence", "dff" where the movie holds dF/F already, "auto" looks.
    """

    neuropil_factor: float = USUAL_FACTOR
    inner: int = 2
    outer: int = 9
    percentile: float = 8.0
    window: float = 30.0
    correct_bleaching: bool = False
    check_motion: bool = True
    bad_frames: BadFrames = "exclude"
    dark_level: float | None = None
    dark_source: str = ""
    values: MovieValues = "auto"
    neuropil: Neuropil = "auto"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("bad_frames", self.bad_frames, get_args(BadFrames)),
            ("values", self.values, get_args(MovieValues)),
            ("neuropil", self.neuropil, get_args(Neuropil)),
        ):
            if value not in known:
                raise RecordingError(f"{name} is {value!r}; choose one of {', '.join(known)}")


def neuropil_choice(factor: float | None, way: Neuropil | None) -> tuple[float, Neuropil]:
    """Return the factor and the way that follow from what was given: a factor alone is meant for all cells.

    Parameters
    ----------
    factor : share of the neuropil; None if nobody said.
    way : how the share is found; None if nobody said.
    """
    return USUAL_FACTOR if factor is None else factor, way or ("auto" if factor is None else "factor")
