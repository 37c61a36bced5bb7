"""Where cells are, and when events happened on the clock of the movie."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.curation import choose_cells, rejected_labels
from napari_biofm.signals.recorded import FRAME_CLOCK
from napari_biofm.timeline.clock import Clock
from napari_biofm.timeline.overlay import NOT_SHOWN
from napari_biofm.types import Events

if TYPE_CHECKING:
    from napari_biofm.signals import Recording


def cell_centres(labels: NDArray[np.integer[Any]]) -> dict[int, tuple[float, float]]:
    """Return the centre of mass (y, x) of each label, pixels. One pass over the image.

    Parameters
    ----------
    labels : (Y, X) integers, 0 is background.
    """
    flat = np.asarray(labels).ravel()
    inside = np.flatnonzero(flat)
    if len(inside) == 0:
        return {}
    ids, index = np.unique(flat[inside], return_inverse=True)
    y, x = np.divmod(inside, labels.shape[1])
    area = np.bincount(index)
    ys, xs = np.bincount(index, y) / area, np.bincount(index, x) / area
    return {int(i): (float(a), float(b)) for i, a, b in zip(ids, ys, xs, strict=True)}


def is_of_movie(recording: Recording, clock: Clock) -> bool:
    """Return whether a recording holds traces of cells measured on the frames of the clock's movie.

    Traces know their movie by its id. Those of files do not: theirs is the movie with as many frames.
    """
    if not recording.is_cells or recording.n_sweeps != 1 or recording.n_samples(0, 0) != clock.n_frames:
        return False
    on = recording.measured_on
    return on is None or not clock.movie or on.movie == clock.movie


def is_of_masks(recording: Recording, masks: str | None) -> bool:
    """Return whether a recording may be of the cells of a labels layer: patched cells and files may be of any."""
    return recording.measured_on is None or masks is None or recording.measured_on.masks == masks


def clock_of(recording: Recording, clocks: Iterable[Clock]) -> Clock | None:
    """Return the clock of the movie whose frames a recording was measured on, None for other recordings."""
    return next((clock for clock in clocks if is_of_movie(recording, clock)), None)


def event_seconds(events: Events, recording: Recording, clock: Clock | None = None) -> NDArray[np.float64]:
    """Return when each event happened, seconds on the session's clock.

    Sweeps count from their start, so the start is added. Traces measured on the movie's own frames have
    no clock of their own: their samples are frames, and the movie's clock says when those were.

    Parameters
    ----------
    events : table of EVENT_DTYPE found in `recording`.
    recording : where they were found.
    clock : of the movie, if there is one.
    """
    seconds = events["time_s"].astype(np.float64)
    if clock is not None and is_of_movie(recording, clock):
        rates = np.array([channel.sampling_rate for channel in recording.channels])
        channels = np.clip(events["channel"], 0, recording.n_channels - 1)
        return clock.at_frames(seconds * rates[channels])
    if recording.n_sweeps == 0:
        return seconds
    sweeps = np.clip(events["sweep"], 0, recording.n_sweeps - 1)
    stretches = recording.metadata.get(FRAME_CLOCK)
    if stretches:  # the movie paused: a time within the trace is a frame, and the file says when that was
        rate = recording.channels[0].sampling_rate
        first, at = np.asarray(stretches, float).T
        which = np.clip(np.searchsorted(first / rate, seconds + 1e-9, "right") - 1, 0, len(first) - 1)
        return np.asarray(at[which] + seconds - first[which] / rate)
    return np.asarray(seconds + recording.sweep_starts[sweeps])


def session_time(recording: Recording, seconds: float, clock: Clock | None = None) -> float:
    """Return a time of a recording as a time of the session: they differ for traces of a movie only.

    Parameters
    ----------
    recording : whose clock is meant.
    seconds : since the start of the recording.
    clock : of the movie, if there is one.
    """
    if clock is None or not is_of_movie(recording, clock):
        return seconds
    return float(clock.at_frames([seconds * recording.channels[0].sampling_rate])[0])


def recording_time(recording: Recording, seconds: float, clock: Clock | None = None) -> float:
    """Return a time of the session as a time of a recording, the inverse of `session_time`."""
    if clock is None or not is_of_movie(recording, clock):
        return seconds
    return float(clock.fractional_frames([seconds])[0] / recording.channels[0].sampling_rate)


@dataclass(frozen=True, eq=False)
class CellEvents:
    """All events of cells, from all recordings, on one clock; sorted by time.

    Attributes
    ----------
    seconds : (n,) float64 on the session's clock.
    labels : (n,) int64 label of the cell.
    classes : (n,) class of the event.
    scores : (n,) float32.
    source : (n,) index into `recordings`.
    rows : (n,) row in that recording's event table.
    recordings : ids of the recordings looked at.
    elsewhere : recordings with linked events that have no place on this clock.
    rejected : (n,) labels of rejected cells whose traces were left out.
    """

    seconds: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: NDArray[np.str_]
    scores: NDArray[np.float32]
    source: NDArray[np.int64]
    rows: NDArray[np.int64]
    recordings: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    rejected: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, index: NDArray[Any]) -> CellEvents:
        """Return a part of the events, by index or mask."""
        return CellEvents(
            self.seconds[index],
            self.labels[index],
            self.classes[index],
            self.scores[index],
            self.source[index],
            self.rows[index],
            self.recordings,
            self.elsewhere,
            self.rejected,
        )

    def of_recordings(self, uids: Collection[str]) -> CellEvents:
        """Return the events of some recordings."""
        return self.take(np.isin(self.source, [i for i, uid in enumerate(self.recordings) if uid in uids]))

    def find(self, recording: str, row: int) -> int | None:
        """Return the place of a row of a recording's event table, None where it is of no cell."""
        if recording not in self.recordings:
            return None
        mine = (self.source == self.recordings.index(recording)) & (self.rows == row)
        found = np.flatnonzero(mine)
        return int(found[0]) if len(found) else None

    def nearest(self, label: int, seconds: float, reach: float) -> int | None:
        """Return the place of the event of a cell next to a time, None where none is within `reach` seconds."""
        first, last = np.searchsorted(self.seconds, [seconds - reach, seconds + reach])
        mine = first + np.flatnonzero(self.labels[first:last] == label)
        if len(mine) == 0:
            return None
        return int(mine[np.argmin(np.abs(self.seconds[mine] - seconds))])


def cells_inside(centres: Mapping[int, tuple[float, float]], corners: NDArray[np.float64]) -> list[int]:
    """Return the labels of the cells whose centre lies inside a closed path.

    Parameters
    ----------
    centres : (y, x) of each cell by its label.
    corners : (n, 2) y, x.
    """
    from skimage.measure import points_in_poly

    if not centres or len(corners) < 3:
        return []
    inside = points_in_poly(np.array(list(centres.values())), corners)
    return [label for label, there in zip(centres, inside, strict=True) if there]


def _shares_clock(
    uid: str, recording: Recording, clock: Clock | None, found: Mapping[str, tuple[Recording, Events]]
) -> bool:
    """Return whether the seconds of a recording are those of a clock.

    They are where the clock is of no recording, of this one, or of another part of the same file, and for traces of
    the clock's movie.
    """
    if clock is None or clock.recording in ("", uid) or is_of_movie(recording, clock):
        return True
    other = found.get(clock.recording)
    return other is not None and recording.path is not None and recording.path == other[0].path


def cell_events(
    found: Mapping[str, tuple[Recording, Events]],
    cells_of: Mapping[str, Mapping[int, int]],
    clock: Clock | None = None,
    masks: str | None = None,
    movie_part: str | None = None,
    rejected: bool = False,
) -> CellEvents:
    """Bring the events of all recordings to their cells and to one clock.

    Parameters
    ----------
    found : per recording id the recording and its events.
    cells_of : per recording id, channel -> label. Traces of cells (`Recording.is_cells`) need no entry:
        their channels carry a label, which an entry overrides.
    clock : of the movie. A recording that is neither the one it is aligned to nor made of the movie has
        no known place in time; its events are left out and its id is returned in `elsewhere`.
    masks : id of the labels layer whose cells are meant; traces measured on other masks are left out.
    movie_part : channel or plane of the movie that is meant; traces of its other parts are left out.
    rejected : whether events in traces of rejected cells count; what was recorded from a linked cell does in any case.
    """
    without: set[int] = set()
    columns: list[tuple[NDArray[Any], ...]] = []
    elsewhere = []
    for i, (uid, (recording, events)) in enumerate(found.items()):
        on = recording.measured_on
        own = is_of_masks(recording, masks) and (on is None or movie_part is None or on.part == movie_part)
        counted = set(choose_cells(recording, rejected).channels.tolist()) if own else set()
        cells = {c: a.label for c, a in enumerate(recording.channels) if c in counted and a.label is not None}
        if own and not rejected:
            without.update(rejected_labels(recording).tolist())
        cells.update(cells_of.get(uid, {}))
        rows = np.flatnonzero(np.isin(events["channel"], list(cells)) & ~np.isin(events["class"], NOT_SHOWN))
        if len(rows) == 0:
            continue
        of_another = clock is not None and on is not None and clock.movie not in ("", on.movie)
        if of_another or not _shares_clock(uid, recording, clock, found):
            elsewhere.append(uid)
            continue
        part = events[rows]
        lookup = np.zeros(max(cells) + 1, np.int64)
        lookup[list(cells)] = list(cells.values())
        columns.append(
            (
                event_seconds(part, recording, clock),
                lookup[part["channel"]],
                part["class"],
                part["score"],
                np.full(len(rows), i),
                rows,
            )
        )
    empty = (np.zeros(0), np.zeros(0, np.int64), np.zeros(0, "U12"), np.zeros(0, np.float32))
    columns.append((*empty, np.zeros(0, np.int64), np.zeros(0, np.int64)))
    a, b, c, d, e, f = (np.concatenate(column) for column in zip(*columns, strict=True))
    joined = CellEvents(a, b, c, d, e, f, tuple(found), tuple(elsewhere), tuple(sorted(without)))
    return joined.take(np.argsort(joined.seconds, kind="stable"))
