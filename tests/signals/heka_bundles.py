"""HEKA bundles written byte by byte, after the published record layouts."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Record = bytes
Tree = tuple[Record, Sequence[Any]]  # a record and the trees below it


def segment(
    kind: int = 0,
    level: float = 0.0,
    seconds: float = 0.1,
    *,
    source: int = 0,
    step: float = 0.0,
    longer: float = 0.0,
    mode: int = 0,
    stored: int = 1,
) -> Record:
    """Return a record of the stimulus tree: one segment."""
    head = struct.pack("<iBBBB", 0, kind, stored, mode, 0)
    levels = struct.pack("<didd", level, source, 1.0, step)
    return (head + levels + struct.pack("<didd", seconds, 0, 1.0, longer)).ljust(80, b"\0")


def output(
    flags: int = 1, unit: str = "V", holding: float = -0.07, wave: Mapping[int, float | int] | None = None
) -> Record:
    """Return a record of the stimulus tree: one output; `wave` maps offsets to doubles, or to bytes if int."""
    record = bytearray(400)
    record[40 : 40 + len(unit)] = unit.encode()
    struct.pack_into("<d", record, 48, holding)
    struct.pack_into("<H", record, 76, flags)
    for offset, value in (wave or {}).items():
        struct.pack_into("<B" if isinstance(value, int) else "<d", record, offset, value)
    return bytes(record)


def bundle(
    sweeps: Sequence[np.ndarray[Any, Any]],
    rate: float,
    outputs: Sequence[tuple[Record, Sequence[Record]]],
    *,
    trace_bytes: int = 280,
) -> bytes:
    """Return a bundle of one series: one trace of int16 in A per sweep, and its stimulation."""
    data = b"".join(np.asarray(one, "<i2").tobytes() for one in sweeps)
    traces, position = [], 256
    for one in sweeps:
        trace = bytearray(trace_bytes)
        trace[4:8] = b"Imon"
        struct.pack_into("<ii", trace, 40, position, len(one))
        struct.pack_into("<ddd", trace, 72, 1e-12, 0.0, 0.0)
        trace[96:97] = b"A"
        struct.pack_into("<d", trace, 104, 1 / rate)
        traces.append(bytes(trace))
        position += 2 * len(one)
    rows = []
    for number, trace in enumerate(traces):
        sweep = bytearray(160)
        struct.pack_into("<i", sweep, 40, 1)
        struct.pack_into("<d", sweep, 48, 1e9 + 2.0 * number)
        rows.append((bytes(sweep), [(trace, [])]))
    series = b"\0\0\0\0series".ljust(1120, b"\0")
    pulse = _tree((b"\0" * 544, [(b"\0" * 128, [(series, rows)])]), [544, 128, 1120, 160, trace_bytes])
    channels = [(record, [(one, []) for one in segments]) for record, segments in outputs]
    stimuli = _tree((b"\0" * 584, [(b"\0" * 248, channels)]), [584, 248, 400, 80])
    head = bytearray(256)
    head[:4] = b"DAT2"
    head[52] = 1
    for i, (ending, start, content) in enumerate(
        (
            (b".dat", 256, data),
            (b".pul", 256 + len(data), pulse),
            (b".pgf", 256 + len(data) + len(pulse), stimuli),
        )
    ):
        struct.pack_into("<ii8s", head, 64 + 16 * i, start, len(content), ending)
    return bytes(head) + data + pulse + stimuli


def _tree(root: Tree, sizes: Sequence[int]) -> bytes:
    def node(tree: Tree) -> bytes:
        record, children = tree
        return record + struct.pack("<i", len(children)) + b"".join(node(child) for child in children)

    return b"eerT" + struct.pack(f"<i{len(sizes)}i", len(sizes), *sizes) + node(root)
