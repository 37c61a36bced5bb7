"""WFDB records of several segments, of fixed or varying layout: one long recording with gaps.

A varying layout begins with a segment of length 0 that names every signal there may be; each other segment
holds some of them, in any order, and a segment named "~" holds none. The samples of a segment are read when
they are looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.signals.readers.wfdb_header import WfdbHeader, WfdbSignal, checked_header, parse_header
from napari_biofm.signals.readers.wfdb_samples import read_span
from napari_biofm.signals.samples import Raw
from napari_biofm.signals.units import same_quantity, si_unit
from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    from wfdb import MultiRecord

EMPTY = "~"
_MOST_GAPS = 1000  # times the samples there are: longer ones are a damaged header


@dataclass(frozen=True)
class Piece:
    """One segment.

    Attributes
    ----------
    start, stop : frames of the whole record.
    header : None where nothing was recorded.
    places : per signal of the record, which one of the segment it is; None where it is absent.
    factors : per signal, what takes the segment's unit to the record's.
    """

    start: int
    stop: int
    header: WfdbHeader | None
    places: tuple[int | None, ...]
    factors: tuple[float, ...]


@dataclass(frozen=True)
class SegmentedSamples:
    """Samples of all segments in physical units; NaN where there are none.

    Attributes
    ----------
    header : of the whole record.
    pieces : segments in order, one behind the other.
    """

    header: WfdbHeader
    pieces: tuple[Piece, ...]

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.start for piece in self.pieces]

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.header.length * self.header.signals[channel].per_frame

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        values = np.full(max(stop - start, 0), np.nan, np.float32)
        per_frame = self.header.signals[channel].per_frame
        number = max(bisect_right(self._starts, start // per_frame) - 1, 0)
        while number < len(self.pieces) and self.pieces[number].start * per_frame < stop:
            piece, number = self.pieces[number], number + 1
            place, begin = piece.places[channel], piece.start * per_frame
            first, last = max(start, begin), min(stop, piece.stop * per_frame)
            if piece.header is None or place is None or last <= first:
                continue
            found = read_span(piece.header, place, first - begin, last - begin)
            if piece.factors[channel] != 1.0:
                found = found * np.float32(piece.factors[channel])
            values[first - start : last - start] = found
        return values

    def scale(self, channel: int) -> tuple[float, float] | None:
        return None


def read_segments(record: Path, header: MultiRecord) -> SegmentedSamples:
    """Return the samples of a parsed header that lists segments.

    Raises
    ------
    RecordingError
        If a segment is missing or does not fit what the record says of it.
    """
    names, lengths = list(header.seg_name), [int(n) for n in header.seg_len]
    varying = header.layout == "variable"
    if len(names) != header.n_seg or min(lengths) < 0 or (varying and len(names) < 2):
        raise RecordingError(f"{record.name}.hea lists {len(names)} segments of {header.n_seg}")
    known = {name: _segment(record, name, layout=varying and name == names[0])
             for name in dict.fromkeys(names) if name != EMPTY}  # fmt: skip
    if not known or (varying and names[0] == EMPTY):
        raise RecordingError(f"{record.name}.hea lists no segment that names its signals")
    signals = known[names[0]].signals if varying else next(iter(known.values())).signals
    pieces, start = [], 0
    for name, length in list(zip(names, lengths, strict=True))[1 if varying else 0 :]:
        one = known.get(name)
        if one is not None and (one.length != length or one.rate != float(header.fs)):
            raise RecordingError(
                f"segment {name} of {record.name} holds {one.length} samples at {one.rate:g} Hz; {record.name}"
                f".hea states {length} at {header.fs:g} Hz"
            )
        pieces.append(_piece(record, start, start + length, one, signals, varying))
        start += length
    if header.sig_len and header.sig_len != start:
        raise RecordingError(f"{record.name}.hea states {header.sig_len} samples; its segments hold {start}")
    stored = sum(piece.stop - piece.start for piece in pieces if piece.header is not None)
    if start > _MOST_GAPS * (stored + 1000):
        raise RecordingError(f"{record.name}.hea states {start} samples, of which {stored} were recorded")
    return SegmentedSamples(WfdbHeader(str(record), float(header.fs), start, signals), tuple(pieces))


def _segment(record: Path, name: str, *, layout: bool) -> WfdbHeader:
    beside = record.parent / name
    if beside.parent != record.parent or not beside.with_name(f"{name}.hea").is_file():
        raise RecordingError(f"{record.name}.hea needs segment {name}.hea, which is not beside it")
    parsed = parse_header(beside)
    if getattr(parsed, "seg_name", None):
        raise RecordingError(f"segment {name} of {record.name} has segments itself")
    return checked_header(beside, parsed, layout=layout)


def _piece(
    record: Path,
    start: int,
    stop: int,
    one: WfdbHeader | None,
    signals: tuple[WfdbSignal, ...],
    varying: bool,
) -> Piece:
    if one is None:
        return Piece(start, stop, None, (None,) * len(signals), (1.0,) * len(signals))
    own = [signal.name for signal in one.signals]
    if not varying and len(own) != len(signals):
        raise RecordingError(f"segment {Path(one.record).name} of {record.name} holds {len(own)} signals")
    places: list[int | None] = []
    factors = []
    for i, wanted in enumerate(signals):
        place = (own.index(wanted.name) if wanted.name in own else None) if varying else i
        found = wanted if place is None else one.signals[place]
        same = found.unit == wanted.unit or same_quantity(found.unit, wanted.unit)
        if found.per_frame != wanted.per_frame or not same:
            raise RecordingError(
                f"signal {wanted.name} of {record.name} is in {wanted.unit}, {wanted.per_frame} per frame; in "
                f"segment {Path(one.record).name} in {found.unit}, {found.per_frame} per frame"
            )
        places.append(place)
        factors.append(1.0 if found.unit == wanted.unit else si_unit(found.unit)[1] / si_unit(wanted.unit)[1])
    return Piece(start, stop, one, tuple(places), tuple(factors))
