"""Is the header of an ABF file sane? Asked before its parser trusts any count in it.

A count or pointer of a damaged file can ask for more memory than the machine has. Every section that
is going to be parsed must lie inside the file.

Source: field offsets of ABF1 and ABF2 as documented by S. W. Harden, "The ABF file format", 2018-2024.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from napari_biofm.types import RecordingError

_BLOCK = 512
_MAX_STRINGS = 1 << 17  # bytes; real files hold a few thousand
_MOST_PIECES = 1024  # recorded stretches beyond the number of sweeps that are believed
_MAX_CHANNELS = 16  # analogue inputs a digitiser of this family has
OLD_HEADER, FULL_HEADER = 2048, 6144  # bytes; early ABF1 has the short one and no protocol

# ABF2 section: offset of its entry in the header, bytes of one record that are read, most records
_SECTIONS = {
    "protocol": (76, 208, 1),
    "ADC": (92, 82, 64),
    "DAC": (108, 132, 64),
    "epoch": (124, 4, 1024),
    "ADC per DAC": (140, 0, 1 << 16),
    "epoch per DAC": (156, 30, 1024),
    "user list": (172, 10, 64),
    "strings": (220, 1, 1 << 12),
    "data": (236, 1, 1 << 40),
    "tag": (252, 64, 1 << 20),
    "synch array": (316, 8, 1 << 24),
}


def check_abf(path: Path) -> int:
    """Return the major version (1 or 2) of a file whose header holds together.

    Raises
    ------
    RecordingError
        Naming the first count or pointer that does not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(6144)
    if head[:4] == b"ABF ":
        _check_v1(path.name, head, size)
        return 1
    if head[:4] == b"ABF2":
        _check_v2(path.name, head, size)
        return 2
    raise RecordingError(
        f'{path.name} starts with {head[:4]!r}, not with "ABF " or "ABF2": it is no ABF file or it is damaged'
    )


def _damaged(name: str, what: str) -> RecordingError:
    return RecordingError(f"{name} is damaged or cut off: {what}; copy it again from where it was recorded")


def _check_v2(name: str, head: bytes, size: int) -> None:
    if len(head) < _BLOCK:
        raise _damaged(name, f"the header needs {_BLOCK} bytes and the file has {size}")
    sections = {key: struct.unpack_from("<IIi", head, spec[0]) for key, spec in _SECTIONS.items()}
    for key, (block, width, count) in sections.items():
        _, needed, most = _SECTIONS[key]
        if count == 0 and key not in ("protocol", "strings"):
            continue
        if not (0 < count <= most):
            raise _damaged(name, f"its {key} section counts {count} records")
        if key != "ADC per DAC" and width < needed:
            raise _damaged(name, f"its {key} records have {width} bytes instead of at least {needed}")
        if block * _BLOCK + width * count > size:
            raise _damaged(
                name,
                f"its {key} section ends at byte {block * _BLOCK + width * count} and the file has {size}",
            )
    _, width, count = sections["strings"]
    if width * count > _MAX_STRINGS:
        raise _damaged(name, f"its strings take {width * count} bytes")
    episodes = struct.unpack_from("<I", head, 12)[0]
    pieces = sections["synch array"][2]
    if pieces > episodes + _MOST_PIECES:
        raise _damaged(name, f"{pieces} recorded stretches for {episodes} sweeps")
    data_format = struct.unpack_from("<H", head, 30)[0]
    n_channels = sections["ADC"][2]
    if data_format not in (0, 1) or sections["data"][1] != (2, 4)[data_format]:
        raise _damaged(name, f"data format {data_format} with {sections['data'][1]} bytes per sample")
    _check_counts(name, n_channels, sections["data"][2], episodes)


def _check_v1(name: str, head: bytes, size: int) -> None:
    if len(head) < OLD_HEADER:
        raise _damaged(name, f"the header needs {OLD_HEADER} bytes and the file has {size}")
    version, _mode, n_points, n_ignored, episodes = struct.unpack_from("<fhihi", head, 4)
    data_block, tag_block, n_tags = struct.unpack_from("<iii", head, 40)
    synch_block, n_synch, data_format, n_channels = (
        *struct.unpack_from("<ii", head, 92),
        *struct.unpack_from("<h", head, 100),
        *struct.unpack_from("<h", head, 120),
    )
    interval = struct.unpack_from("<f", head, 122)[0]
    if not (math.isfinite(version) and 1.0 <= version < 2.0):
        raise _damaged(name, f"version {version} of an ABF1 file")
    if not (math.isfinite(interval) and interval > 0):
        raise _damaged(name, f"a sample interval of {interval} us")
    if data_format not in (0, 1):
        raise _damaged(name, f"data format {data_format}")
    if data_block < 1 or n_ignored < 0:
        raise _damaged(name, f"data said to start at block {data_block}, after {n_ignored} ignored")
    if data_block * _BLOCK >= FULL_HEADER > size:
        raise _damaged(name, f"the header needs {FULL_HEADER} bytes and the file has {size}")
    _check_counts(name, n_channels, n_points, episodes)
    width = (2, 4)[data_format]
    for what, first, last in (
        ("data", data_block * _BLOCK + n_ignored, n_points * width),
        ("tag", tag_block * _BLOCK, n_tags * 64),
        ("synch array", synch_block * _BLOCK, n_synch * 8),
    ):
        if last < 0 or first < 0 or (last > 0 and first + last > size):
            raise _damaged(name, f"its {what} section ends at byte {first + last} and the file has {size}")
    sequence = struct.unpack_from("<16h", head, 410)[: max(n_channels, 0)]
    if any(not 0 <= physical < _MAX_CHANNELS for physical in sequence):
        raise _damaged(name, f"channels {list(sequence)} sampled; inputs are numbered 0 to 15")


def _check_counts(name: str, n_channels: int, n_points: int, episodes: int) -> None:
    if not 1 <= n_channels <= 64:
        raise _damaged(name, f"{n_channels} channels")
    if n_points < n_channels:
        raise RecordingError(f"{name} holds no samples: {n_points} for {n_channels} channels")
    if not 0 <= episodes <= max(n_points, 1):
        raise _damaged(name, f"{episodes} sweeps for {n_points} samples")
