"""WinWCP (.wcp): records with the times and the amplifier's range of each.

Source: file layout as published by J. Dempster, Strathclyde, "WCP file format", version 9.
"""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.heka_traces import Regained
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

_SECTOR = 512
_HEADER = 1024
_MOST_CHANNELS = 128
_RANGES_AT = 24  # of a record's analysis block: status, type, group, time, interval before it


def read_wcp(path: Path) -> Recording:
    """Open a WinWCP file; every record is a sweep.

    Raises
    ------
    RecordingError
        If the file is damaged or holds no records.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        said = _header(path, file.read(_HEADER))
        n_channels, n_records = said["NC"], said["NR"]
        blocks = said["NBD"] * _SECTOR
        ahead = said["NBA"] * _SECTOR
        if not 1 <= n_channels <= _MOST_CHANNELS or n_records < 1 or blocks < 2 * n_channels:
            raise RecordingError(f"{path.name} holds {n_records} records of {n_channels} channels")
        if min(ahead, blocks) < 0 or _HEADER + n_records * (ahead + blocks) > size + _SECTOR:
            raise RecordingError(f"{path.name} is cut off: it says that it holds {n_records} records")
        records = []
        for i in range(n_records):
            file.seek(_HEADER + i * (ahead + blocks))
            records.append(_record(path, i, file.read(_RANGES_AT + 4 * n_channels), n_channels))
    n = blocks // 2 // n_channels
    interval = float(np.median([one[1] for one in records]))
    if not (np.isfinite(interval) and interval > 0):
        raise RecordingError(f"{path.name} has a sampling interval of {interval} s")
    channels = [_channel(said["texts"], c, 1 / interval) for c in range(n_channels)]
    columns = _columns(said["texts"], n_channels)
    gains = [
        [ranges[c] / (said["ADCMAX"] * channels[c][1]) for c in range(n_channels)] for _, _, ranges in records
    ]
    pages: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
    arrays: list[list[Any]] = []
    for i in range(n_records):
        first = _HEADER + i * (ahead + blocks) + ahead
        data = pages[first : first + 2 * n * n_channels].view("<i2").reshape(-1, n_channels)
        arrays.append(
            [
                data[:, columns[c]]
                if gains[i][c] == gains[0][c]
                else Regained(data[:, columns[c]], gains[i][c] / gains[0][c])
                for c in range(n_channels)
            ]
        )
    starts = np.array([one[0] for one in records])
    return Recording(
        tuple(channel for channel, _ in channels),
        ArraySamples(arrays, [(gain, 0.0) for gain in gains[0]]),
        starts - starts[0],
        t0=_start(said["texts"]),
        path=path,
        format="WinWCP",
        comment=said["texts"].get("ID", ""),
    )


def _header(path: Path, data: bytes) -> dict[str, Any]:
    lines = data.split(b"\0")[0].decode("latin-1").splitlines()
    texts = dict(line.partition("=")[::2] for line in lines if "=" in line)
    numbers: dict[str, Any] = {"texts": texts}
    try:
        for key, usual in (("NC", None), ("NR", None), ("NBD", None), ("NBA", "2"), ("ADCMAX", "2047")):
            text = texts.get(key, usual)
            if text is None:
                raise RecordingError(f"{path.name} is no WinWCP file: its header does not say {key}")
            numbers[key] = int(text)
    except ValueError as error:
        raise RecordingError(f"{path.name} has a damaged header: {error}") from error
    if numbers["ADCMAX"] <= 0:
        raise RecordingError(f"{path.name} has a converter range of {numbers['ADCMAX']}")
    return numbers


def _record(path: Path, number: int, data: bytes, n_channels: int) -> tuple[float, float, tuple[float, ...]]:
    """Return when a record began (s), its sampling interval (s), and the range (V) of each channel."""
    try:
        time, interval = struct.unpack_from("<ff", data, 16)
        ranges = struct.unpack_from(f"<{n_channels}f", data, _RANGES_AT)
    except struct.error as error:
        raise RecordingError(f"record {number} of {path.name} is cut off: {error}") from error
    if not np.isfinite((time, interval, *ranges)).all():
        raise RecordingError(f"record {number} of {path.name} begins at {time} s with ranges of {ranges} V")
    return time, interval, ranges


def _channel(texts: dict[str, str], c: int, rate: float) -> tuple[Channel, float]:
    """Return a channel, and V per unit of it."""
    try:
        gain = float(texts.get(f"YG{c}", "1").replace(",", ".")) or 1.0
    except ValueError:
        gain = 1.0
    return Channel(texts.get(f"YN{c}", f"channel {c}"), clean_unit(texts.get(f"YU{c}", "")), rate), gain


def _columns(texts: dict[str, str], n: int) -> list[int]:
    """Return where each channel stands among the interleaved samples."""
    said = [texts.get(f"YO{c}", "") for c in range(n)]
    columns = [int(text) for text in said if text.isdecimal()]
    return columns if sorted(columns) == list(range(n)) else list(range(n))


def _start(texts: dict[str, str]) -> datetime | None:
    for key in ("RTIME", "CTIME"):
        try:
            return datetime.strptime(texts.get(key, ""), "%d/%m/%Y %H:%M:%S")
        except ValueError:
            continue
    return None
