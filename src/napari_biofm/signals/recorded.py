"""What was recorded and on what, and the keys of what else a file says."""

from __future__ import annotations

from dataclasses import dataclass

# keys of `Recording.metadata`
COMMAND_UNKNOWN = "command_unknown"  # why a command that was given cannot be rebuilt
OPENED_WITH = "opened_with"  # options of `read_recording`: what the file did not say, or which part of it
NOTES = "notes"  # what the user should know of a file that was not all as it should be, sentences
FRAME_CLOCK = (
    "frame_clock"  # of a movie that paused: (first frame, second) of each stretch, on the file's clock
)
CHANGED = "changed"  # what `with_channel` put right, in order


@dataclass(frozen=True)
class Channel:
    """One thing that was recorded: an electrode, a command line, or a cell.

    Attributes
    ----------
    name : as in the file, e.g. "IN 0", or "cell 17".
    unit : unit of the values, e.g. "pA", "mV", "dF/F"; "?" if the file does not say.
    sampling_rate : Hz.
    label : cell_id when the channel is a cell's trace, else None.
    holding : holding level of the commanded quantity in SI (V in voltage clamp), or None.
    """

    name: str
    unit: str
    sampling_rate: float
    label: int | None = None
    holding: float | None = None


@dataclass(frozen=True)
class Tag:
    """A comment somebody left at a time, in seconds from the start of the recording."""

    time_s: float
    comment: str


@dataclass(frozen=True)
class MeasuredOn:
    """What traces of cells were measured on.

    Attributes
    ----------
    movie : unique id of the movie's layer.
    masks : unique id of the labels layer whose cells they are.
    part : which channel or plane of the movie, "" where it has one.
    """

    movie: str
    masks: str
    part: str = ""
