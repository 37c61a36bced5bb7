"""The clock of a movie: frame -> second and second -> frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import TimelineError

PAUSE = 1.5  # periods from one frame to the next, above which the movie stood still between them


@dataclass(frozen=True, eq=False)
class Clock:
    """When each frame of a movie began, in seconds of the recording it is aligned to.

    Attributes
    ----------
    times : (n_frames,) float64, strictly increasing.
    source : how the times came about, in words, shown to the user and saved.
    recording : id of the recording whose seconds these are, "" where none is meant.
    movie : unique id of the movie's layer, "" where the clock belongs to none yet; a session fills it in.
    """

    times: NDArray[np.float64]
    source: str = "frame rate"
    recording: str = ""
    movie: str = ""

    def __post_init__(self) -> None:
        times = np.array(self.times, np.float64)
        if times.ndim != 1 or len(times) == 0:
            raise TimelineError(f"A clock needs one time per frame; got an array of shape {times.shape}.")
        if not np.isfinite(times).all():
            raise TimelineError("A clock needs finite frame times; some are NaN or infinite.")
        backwards = np.flatnonzero(np.diff(times) <= 0)
        if len(backwards):
            frame = int(backwards[0])
            raise TimelineError(
                f"Time runs back after frame {frame} ({times[frame]:.6g} s, then {times[frame + 1]:.6g} s); "
                "sort the frames or type a frame rate instead."
            )
        times.setflags(write=False)
        object.__setattr__(self, "times", times)

    @classmethod
    def from_rate(
        cls, n_frames: int, frame_rate: float, offset: float = 0.0, drift: float = 0.0, recording: str = ""
    ) -> Clock:
        """Return the clock of evenly spaced frames.

        Parameters
        ----------
        n_frames : number of frames.
        frame_rate : Hz.
        offset : second at which frame 0 begins.
        drift : relative difference between the two clocks; frame i begins at
            offset + (1 + drift) * i / frame_rate.
        recording : id of the recording it is aligned to.

        Raises
        ------
        TimelineError
            If the rate is not a positive number or there are no frames.
        """
        if not (np.isfinite(frame_rate) and frame_rate > 0):
            raise TimelineError(f"The frame rate must be a positive number of Hz, not {frame_rate}.")
        if not (np.isfinite(offset) and np.isfinite(drift) and drift > -1):
            raise TimelineError(f"Offset and drift must be finite numbers, not {offset} s and {drift}.")
        times = np.asarray(offset + (1 + drift) * np.arange(n_frames) / frame_rate, np.float64)
        words = f"{frame_rate:g} Hz from {offset:g} s" + (f", drift {1e6 * drift:.3g} ppm" if drift else "")
        return cls(times, words, recording)

    @property
    def n_frames(self) -> int:
        return len(self.times)

    @property
    def frame_rate(self) -> float:
        """Mean frames per second; NaN for a single frame."""
        if self.n_frames < 2:
            return float("nan")
        return float((self.n_frames - 1) / (self.times[-1] - self.times[0]))

    @property
    def period(self) -> float:
        """Seconds from frame to frame while the movie runs, the median; NaN for a single frame."""
        return float(np.median(np.diff(self.times))) if self.n_frames > 1 else float("nan")

    @property
    def imaging_rate(self) -> float:
        """Frames per second while the movie runs: pauses do not count, as they do in `frame_rate`."""
        return 1 / self.period

    @property
    def imaged_s(self) -> float:
        """Seconds during which there was a movie, without its pauses."""
        if self.n_frames < 2:
            return 0.0
        steps = np.diff(self.times)
        return float(np.where(steps > PAUSE * self.period, self.period, steps).sum() + self.period)

    def runs(self, first: NDArray[np.integer[Any]], last: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Return whether the movie ran without a pause from each first frame to its last.

        Parameters
        ----------
        first, last : (n,) frames of the movie.
        """
        pauses = np.concatenate([[0], np.cumsum(np.diff(self.times) > PAUSE * self.period)])
        return np.asarray(pauses[first] == pauses[last])

    def time_of(self, frame: int) -> float:
        """Return the second at which `frame` began; frames outside are clamped to the ends."""
        return float(self.times[min(max(int(frame), 0), self.n_frames - 1)])

    def frame_at(self, seconds: float) -> int:
        """Return the frame that was being exposed at `seconds`, clamped to the movie. O(log n)."""
        return int(self.frames_at(np.array([seconds]))[0])

    def frames_at(self, seconds: NDArray[np.float64] | Sequence[float]) -> NDArray[np.intp]:
        """Return the frame of each time, clamped to the movie."""
        index = np.searchsorted(self.times, np.asarray(seconds, float), side="right") - 1
        return np.clip(index, 0, self.n_frames - 1)

    def at_frames(self, frames: NDArray[np.floating[Any]] | Sequence[float]) -> NDArray[np.float64]:
        """Return the second of each (fractional) frame; outside, the mean rate is continued."""
        wanted = np.asarray(frames, float)
        inside = np.interp(wanted, np.arange(self.n_frames), self.times)
        if self.n_frames < 2:
            return np.asarray(inside)
        beyond = wanted - np.clip(wanted, 0, self.n_frames - 1)
        return np.asarray(inside + beyond / self.frame_rate)

    def fractional_frames(self, seconds: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
        """Return the (fractional) frame of each time, the inverse of `at_frames`."""
        wanted = np.asarray(seconds, float)
        inside = np.interp(wanted, self.times, np.arange(self.n_frames))
        if self.n_frames < 2:
            return np.asarray(inside)
        beyond = wanted - np.clip(wanted, self.times[0], self.times[-1])
        return np.asarray(inside + beyond * self.frame_rate)

    def covers(self, seconds: NDArray[np.float64] | Sequence[float]) -> NDArray[np.bool_]:
        """Return which times fall inside the movie, each frame counted in full and pauses left out."""
        values = np.asarray(seconds, float)
        if self.n_frames < 2:
            return np.asarray(values == self.times[0])
        frames = self.frames_at(values)
        steps = np.append(np.diff(self.times), np.inf)
        shown = np.where(steps > PAUSE * self.period, self.period * (1 + 1e-9), steps)
        return np.asarray((values >= self.times[0]) & (values - self.times[frames] <= shown[frames]))

    def describe(self) -> dict[str, Any]:
        """Return a JSON-able account: source, recording, number of frames, rate, first time."""
        return {
            "source": self.source,
            "recording": self.recording,
            "n_frames": self.n_frames,
            "frame_rate_hz": self.frame_rate if self.n_frames > 1 else None,
            "first_s": float(self.times[0]),
        }
