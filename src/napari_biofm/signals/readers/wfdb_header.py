"""Headers of WFDB records: parsed by the wfdb library, believed only where the files of samples agree.

Source: header(5) and signal(5) of the WFDB Applications Guide, G. B. Moody, PhysioNet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    from wfdb import MultiRecord, Record

_BYTES = {"8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0,
          "212": 1.5, "310": 4 / 3, "311": 4 / 3}  # fmt: skip
_COMPRESSED = ("508", "516", "524")
_MOST_SIGNALS, _MOST_PER_FRAME = 4096, 4096
_PLAIN = "16"
_DIFFERENCES = "8"  # each sample is stored as the difference from the one before


@dataclass(frozen=True)
class Plain:
    """Where the samples of a signal lie as little-endian int16 (format 16), which needs no library.

    Attributes
    ----------
    file : of the samples.
    offset : of the first frame, bytes.
    width, first : samples of a frame, and the first of them that is this signal's.
    gain, baseline : a value is (sample - baseline) / gain.
    """

    file: str
    offset: int
    width: int
    first: int
    gain: float
    baseline: int


@dataclass(frozen=True)
class WfdbSignal:
    """One signal of a record.

    Attributes
    ----------
    unit : cleaned.
    per_frame : samples in each frame.
    plain : where they lie, None where the library must read them.
    """

    name: str
    unit: str
    per_frame: int
    plain: Plain | None = None


@dataclass(frozen=True)
class WfdbHeader:
    """A record of one segment.

    Attributes
    ----------
    record : path without an ending, as the library wants it.
    rate : frames per second.
    length : frames.
    in_pieces : whether the library can read a piece of it; else it is read whole.
    """

    record: str
    rate: float
    length: int
    signals: tuple[WfdbSignal, ...]
    in_pieces: bool = True


def parse_header(record: Path) -> Record | MultiRecord:
    """Return the library's record object of a header file.

    Parameters
    ----------
    record : without an ending.

    Raises
    ------
    RecordingError
        If wfdb is missing or the header cannot be parsed.
    """
    wfdb = need("wfdb", record)
    try:
        return wfdb.rdheader(str(record))
    except Exception as error:  # the parser raises whatever a damaged line leads it to
        raise RecordingError(
            f"{record.name}.hea is no readable WFDB header ({type(error).__name__}: {error})"
        ) from error


def checked_header(record: Path, header: Record, *, layout: bool = False) -> WfdbHeader:
    """Return a parsed header of one segment, its counts compared with the files of samples.

    Parameters
    ----------
    layout : whether it only describes what other segments may hold.

    Raises
    ------
    RecordingError
        Naming the first number that cannot be, or the file that is not there.
    """
    name = f"{record.name}.hea"
    rate = float(header.fs or 0)
    files = list(getattr(header, "file_name", None) or [])
    if not (math.isfinite(rate) and rate > 0):
        raise RecordingError(f"{name} states a sampling rate of {rate} Hz")
    if len(files) != (header.n_sig or 0) or len(files) > _MOST_SIGNALS:
        raise RecordingError(f"{name} states {header.n_sig} signals and describes {len(files)}")
    signals = tuple(_signal(name, header, i) for i in range(len(files)))
    length = int(header.sig_len or 0)
    if not layout and files:
        groups = [list(group) for _, group in groupby(range(len(files)), key=lambda i: files[i])]
        whole = min(_frames(record, header, group, length) for group in groups)
        signals = tuple(one for group in groups for one in _placed(record, header, group, signals))
        if not length or _DIFFERENCES in header.fmt:
            return WfdbHeader(str(record), rate, length or whole, signals, in_pieces=False)
    return WfdbHeader(str(record), rate, length, signals)


def _signal(name: str, header: Any, i: int) -> WfdbSignal:
    per_frame = header.samps_per_frame[i] or 1
    if not 1 <= per_frame <= _MOST_PER_FRAME:
        raise RecordingError(f"{name}: signal {i} has {per_frame} samples in each frame")
    gain = header.adc_gain[i]
    if gain is not None and not math.isfinite(gain):
        raise RecordingError(f"{name}: signal {i} has a gain of {gain}")
    unit = clean_unit(header.units[i] or "mV")  # the format's own default
    return WfdbSignal(header.sig_name[i] or f"channel {i}", unit, per_frame)


def _placed(record: Path, header: Any, group: list[int], signals: tuple[WfdbSignal, ...]) -> list[WfdbSignal]:
    """Say where the samples of the signals of one file lie, if that is as simple as can be."""
    if header.fmt[group[0]] != _PLAIN or any(header.skew[i] for i in group):
        return [signals[i] for i in group]
    ends = list(accumulate(signals[i].per_frame for i in group))
    file, offset = str(record.parent / header.file_name[group[0]]), header.byte_offset[group[0]] or 0
    return [
        replace(
            signals[i],
            plain=Plain(
                file, offset, ends[-1], end - signals[i].per_frame, header.adc_gain[i] or 200.0,
                header.baseline[i] or 0,
            ),
        )
        for i, end in zip(group, ends, strict=True)
    ]  # fmt: skip


def _frames(record: Path, header: Any, group: list[int], length: int) -> int:
    """Return how many frames the file of these signals holds; its header must not ask for more."""
    name, file = f"{record.name}.hea", record.parent / header.file_name[group[0]]
    if not file.is_file():
        raise RecordingError(f"{name} needs the samples in {file.name}, which is not beside it")
    fmt, offset = header.fmt[group[0]], header.byte_offset[group[0]] or 0
    if (fmt not in _BYTES and fmt not in _COMPRESSED) or any(header.fmt[i] != fmt for i in group):
        raise RecordingError(f"{name}: {file.name} is of the unknown format {fmt}")
    per_frame = sum(header.samps_per_frame[i] or 1 for i in group)
    size = file.stat().st_size
    if fmt in _COMPRESSED:
        held = _compressed_samples(file) // per_frame
    else:
        held = int((size - offset + 1e-6) / (_BYTES[fmt] * per_frame))
    skew = max(header.skew[i] or 0 for i in group)
    if held < 1 or offset < 0 or length > held or not 0 <= skew <= held:
        raise RecordingError(
            f"{name} is damaged, or {file.name} cut off: {length} samples per signal, skewed by {skew}, "
            f"do not fit into {size} bytes"
        )
    return held


def _compressed_samples(file: Path) -> int:
    try:
        about = need("soundfile", file).info(str(file))
    except RecordingError:
        raise
    except Exception as error:  # the library raises errors of its own
        raise RecordingError(f"{file.name} is no readable FLAC file ({error})") from error
    return int(about.frames) * int(about.channels)
