"""Axon Binary Format, versions 1 and 2. The header is parsed by pyabf, the samples stay on disk."""

from __future__ import annotations

import math
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.abf_check import FULL_HEADER, OLD_HEADER, check_abf
from napari_biofm.signals.readers.abf_command import abf_command
from napari_biofm.signals.readers.pyabf_compat import (
    first_header,
    gains,
    guid,
    offsets,
    protocol_section,
    sample_dtype,
    synch_section,
)
from napari_biofm.signals.recorded import COMMAND_UNKNOWN, Channel, Tag
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import InterleavedSamples
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

_MODES = {
    1: "variable-length events",
    2: "fixed-length events",
    3: "gap-free",
    4: "high-speed oscilloscope",
    5: "episodic",
}


def first_sweep(path: Path) -> NDArray[np.float32]:
    """Return the first sweep of the first channel (n,), in the unit of the file."""
    return read_abf(path).values(0, 0)


def read_abf(path: Path) -> Recording:
    """Open an ABF1 or ABF2 file of any acquisition mode.

    Values are those of pyabf to the last bit. Where the file's synch array contradicts the nominal
    interval between sweeps, the sweeps start when the array says.

    Raises
    ------
    RecordingError
        If a count or pointer in the file is impossible, or the parser fails on it.
    """
    check_abf(path)
    header = _parse(path)
    n_channels = int(header.channelCount)
    scales = _scales(path, header)
    bounds = _bounds(path, header)
    data = np.memmap(
        path,
        dtype=sample_dtype(header),
        mode="r",
        offset=int(header.dataByteStart),
        shape=(int(header.dataPointCount) // n_channels, n_channels),
    )
    rate = _sampling_rate(path, header)
    old = header.abfVersion["major"] == 1 and header.dataByteStart < FULL_HEADER
    command = None if old else abf_command(path, header, rate, bounds, first_sweep)
    unknown = "" if command is None else command.unknown([_text(n) for n in header.adcNames[:n_channels]])
    channels = tuple(
        Channel(
            name=_text(header.adcNames[i]) or "?",
            unit=clean_unit(header.adcUnits[i]),
            sampling_rate=rate,
            holding=None if command is None else command.holding(i),
        )
        for i in range(n_channels)
    )
    return Recording(
        channels=channels,
        samples=InterleavedSamples(data, bounds, scales),
        sweep_starts=_sweep_starts(path, header, rate, len(bounds)),
        t0=_start(header),
        path=path,
        format=f"ABF{header.abfVersion['major']}",
        protocol="" if old or header.protocol == "None" else _text(header.protocol),
        comment=_text(first_header(header).sFileCommentOld if old else header.abfFileComment),
        tags=tuple(
            Tag(float(time), _text(text))
            for time, text in zip(header.tagTimesSec, header.tagComments, strict=False)
        ),
        metadata=({} if old else _metadata(header)) | ({COMMAND_UNKNOWN: unknown} if unknown else {}),
        command_source=command,
    )


def _parse(path: Path) -> Any:
    """Return the parsed header of a file that has passed `check_abf`."""
    import pyabf  # type: ignore[import-untyped,unused-ignore]

    try:
        with _whole_header(path) as readable:
            header = pyabf.ABF(str(readable), loadData=False)
    except Exception as error:  # the parser raises whatever a damaged byte leads it to
        raise RecordingError(
            f"the header of {path.name} cannot be parsed ({type(error).__name__}: {error}); "
            "the file is damaged or of an unknown version"
        ) from error
    if sample_dtype(header) == np.int16 and header.dataPointByteSize != 2:
        raise RecordingError(f"{path.name} stores {header.dataPointByteSize} bytes per int16 sample")
    return header


@contextmanager
def _whole_header(path: Path) -> Iterator[Path]:
    """Yield the file, or for a short ABF1 header a copy of that, filled up with zeros.

    The parser reads 6 kB of every ABF1 file; behind a header of 2 kB it would take samples for settings.
    """
    with path.open("rb") as file:
        head = bytearray(file.read(OLD_HEADER))
    if head[:4] != b"ABF " or struct.unpack_from("<i", head, 40)[0] * 512 >= FULL_HEADER:
        yield path
        return
    struct.pack_into("<i", head, 48, 0)  # tags lie behind the samples, which the copy lacks
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(head.ljust(FULL_HEADER, b"\0"))
        yield copy


def _scales(path: Path, header: Any) -> list[tuple[float, float] | None]:
    """Return gain and offset per channel, or None where samples are stored as floats."""
    if sample_dtype(header) != np.int16:
        return [None] * header.channelCount
    scales = [(float(g), float(o)) for g, o in zip(gains(header), offsets(header), strict=True)]
    for i, (gain, offset) in enumerate(scales):
        if not (math.isfinite(gain) and math.isfinite(offset)) or gain == 0:
            raise RecordingError(f"channel {i} of {path.name} has gain {gain} and offset {offset}")
    return list(scales)


def _sampling_rate(path: Path, header: Any) -> float:
    """Return Hz per channel. pyabf cuts the rate to an integer; a true fraction is kept here."""
    if header.abfVersion["major"] == 1:
        interval_us = first_header(header).fADCSampleInterval * header.channelCount
    else:
        interval_us = protocol_section(header).fADCSequenceInterval
    if not (math.isfinite(interval_us) and interval_us > 0):
        raise RecordingError(f"{path.name} has a sample interval of {interval_us} us")
    exact = 1e6 / interval_us
    whole = round(exact)
    # intervals are stored as float32, so a rate closer than that to a whole number is meant to be one
    return float(whole) if abs(exact - whole) <= 2e-7 * exact else exact


def _synch_array(path: Path, header: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Return start (ticks) and length (interleaved samples) of each sweep, and seconds per tick."""
    if header.abfVersion["major"] == 2:
        section = synch_section(header)
        unit = protocol_section(header).fSynchTimeUnit
        starts, lengths = section.lStart, section.lLength
    else:
        head = first_header(header)
        with path.open("rb") as file:
            file.seek(head.lSynchArrayPtr * 512)
            pairs = struct.iter_unpack("<ii", file.read(head.lSynchArraySize * 8))
            entries = list(pairs) if head.lSynchArrayPtr > 0 else []
        unit = head.fSynchTimeUnit
        starts, lengths = [e[0] for e in entries], [e[1] for e in entries]
    seconds = unit * 1e-6 if math.isfinite(unit) and unit > 0 else 1.0 / header.dataRate
    return np.asarray(starts, np.int64), np.asarray(lengths, np.int64), seconds


def _bounds(path: Path, header: Any) -> NDArray[np.int64]:
    """Return (n_sweeps, 2) first and one-past-last frame of each sweep."""
    n_frames = int(header.dataPointCount) // int(header.channelCount)
    n_sweeps = int(header.sweepCount)
    _, lengths, _ = _synch_array(path, header)
    if n_sweeps > 1 and len(lengths) == n_sweeps and len(np.unique(lengths)) > 1:
        frames = lengths // int(header.channelCount)
        ends = np.cumsum(frames)
        if (frames < 0).any() or ends[-1] > n_frames:
            raise RecordingError(
                f"{path.name} is damaged: its sweeps add up to {ends[-1]} samples per channel, "
                f"it holds {n_frames}"
            )
        return np.stack([ends - frames, ends], axis=1)
    per_sweep = int(header.dataPointCount / n_sweeps / header.channelCount)
    if per_sweep < 1:
        raise RecordingError(f"{path.name} is damaged: {n_sweeps} sweeps for {n_frames} samples per channel")
    starts = np.arange(n_sweeps, dtype=np.int64) * per_sweep
    return np.stack([starts, starts + per_sweep], axis=1)


def _sweep_starts(path: Path, header: Any, rate: float, n_sweeps: int) -> NDArray[np.float64]:
    """Return (n_sweeps,) s: the protocol's interval, unless the synch array knows of another one."""
    interval = float(header.sweepIntervalSec)
    if not math.isfinite(interval) or interval < 0:
        raise RecordingError(f"{path.name} has {interval} s between sweeps")
    nominal: NDArray[np.float64] = np.arange(n_sweeps, dtype=np.float64) * interval
    ticks, lengths, seconds = _synch_array(path, header)
    if n_sweeps < 2 or len(ticks) != n_sweeps:
        return nominal
    recorded: NDArray[np.float64] = ticks.astype(np.float64) * seconds
    if len(np.unique(lengths)) > 1:
        return recorded
    agrees = np.abs((recorded - recorded[0]) - nominal).max() <= max(2.0 / rate, 1e-5 * nominal[-1])
    return nominal if agrees else recorded


def _start(header: Any) -> datetime | None:
    """Return when the recording began; None where the file has no date or an impossible one."""
    if header.abfVersion["major"] == 1 and first_header(header).lFileStartDate == 0:
        return None  # pyabf takes the date of the copy on this disk
    start: datetime = header.abfDateTime
    return None if start == datetime(1, 1, 1) else start


def _metadata(header: Any) -> dict[str, Any]:
    """Return what else the header says, JSON-able."""
    return {
        "version": header.abfVersionString,
        "creator": _text(header.creator),
        "operation_mode": _MODES.get(header.nOperationMode, str(header.nOperationMode)),
        "user_list": list(header.userList or []),
        "user_list_parameter": [_text(n) for n in header.userListParamToVaryName or [] if n],
        "guid": guid(header),
    }


def _text(value: Any) -> str:
    """Return printable characters only; headers are padded with zeros."""
    return "".join(c for c in str(value or "") if c.isprintable()).strip()
