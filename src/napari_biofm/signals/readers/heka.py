"""HEKA PatchMaster bundles (.dat): a small reader of our own, samples memory-mapped.

A bundle holds several files behind each other; `.pul` is a tree of root, group, series, sweep and trace
records, `.dat` the samples. One series is one recording.

Source: record layouts as published by HEKA Elektronik, "PatchMaster file format", v2x90.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.signals.readers.heka_stimulus import Commands, Output, output_of
from napari_biofm.signals.readers.heka_traces import text_of, trace_of
from napari_biofm.signals.readers.heka_waves import UnknownCommandError
from napari_biofm.signals.recorded import COMMAND_UNKNOWN
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError

_STIMULATION, _ADC = 40, 222  # where a sweep names its stimulation, and a trace its input
_EPOCH = datetime(1601, 1, 1)
_MAX_NODES = 1 << 20


@dataclass(frozen=True)
class Node:
    """One record of the tree and what hangs below it."""

    record: bytes
    children: tuple[Node, ...]


def read_heka(path: Path, *, series: int = 0) -> Recording:
    """Open one series of a PatchMaster bundle.

    Parameters
    ----------
    series : which, counted from 0 through all groups; `metadata["parts"]` names them all.

    Raises
    ------
    RecordingError
        If the bundle is damaged, or holds no such series.
    """
    try:
        order, items = _bundle(path)
        root = _tree(path, order, *items[".pul"])
    except (struct.error, IndexError, KeyError, ValueError, StopIteration) as error:
        raise RecordingError(f"{path.name} is no readable HEKA bundle: {error}") from error
    found = [(group, one) for group in root.children for one in group.children]
    if not 0 <= series < len(found):
        raise RecordingError(
            f"series {series} of {len(found)} asked for in {path.name}; "
            f"they are numbered 0 to {len(found) - 1}"
        )
    group, chosen = found[series]
    try:
        recording = _series(
            path, order, root, group, chosen, [_label(one.record) for _, one in found], series
        )
    except struct.error as error:
        raise RecordingError(f"series {series} of {path.name} is damaged: {error}") from error
    try:
        stimuli = _tree(path, order, *items[".pgf"])
        commands, unknown = _commands(order, stimuli, chosen, recording)
    except (struct.error, IndexError, KeyError, ValueError, StopIteration):  # the samples are whole without
        commands, unknown = None, "the bundle holds no readable stimulus tree (.pgf)"
    about = {**recording.metadata, COMMAND_UNKNOWN: unknown} if unknown else recording.metadata
    return dataclasses.replace(recording, command_source=commands, metadata=about)


def _bundle(path: Path) -> tuple[str, dict[str, tuple[int, int]]]:
    """Return the byte order, and start and length of each file in the bundle."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(256)
    if head[:4] != b"DAT2":
        raise RecordingError(f"{path.name} starts with {head[:4]!r}: only bundles (DAT2) are read")
    order = "<" if head[52] else ">"
    items = {}
    for i in range(12):
        start, length = struct.unpack_from(f"{order}ii", head, 64 + 16 * i)
        ending = head[72 + 16 * i : 80 + 16 * i].rstrip(b"\0").decode("ascii", "replace")
        if ending and length > 0:
            if start < 0 or start + length > size:
                raise RecordingError(
                    f"{path.name} is cut off: {ending} ends at byte {start + length} of {size}"
                )
            items[ending] = (start, length)
    if ".pul" not in items:
        raise RecordingError(f"{path.name} holds no tree of sweeps (.pul)")
    return order, items


def _tree(path: Path, order: str, start: int, length: int) -> Node:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(length)
    if data[:4] not in (b"Tree", b"eerT"):
        raise ValueError(f"the tree of sweeps starts with {data[:4]!r}")
    (n_levels,) = struct.unpack_from(f"{order}i", data, 4)
    if not 1 <= n_levels <= 8:
        raise ValueError(f"a tree of {n_levels} levels")
    sizes = struct.unpack_from(f"{order}{n_levels}i", data, 8)
    if any(not 0 < size <= length for size in sizes):
        raise ValueError(f"records of {sizes} bytes")
    count = iter(range(_MAX_NODES))

    def node(position: int, level: int) -> tuple[Node, int]:
        next(count)
        record = data[position : position + sizes[level]]
        position += sizes[level]
        (n_children,) = struct.unpack_from(f"{order}i", data, position)
        position += 4
        if n_children < 0 or (n_children and level + 1 >= n_levels) or n_children * 4 > length:
            raise ValueError(f"{n_children} records below level {level}")
        children = []
        for _ in range(n_children):
            child, position = node(position, level + 1)
            children.append(child)
        return Node(record, tuple(children)), position

    return node(8 + 4 * n_levels, 0)[0]


def _series(
    path: Path, order: str, root: Node, group: Node, series: Node, names: list[str], number: int
) -> Recording:
    sweeps = [sweep for sweep in series.children if sweep.children]
    if not sweeps:
        raise RecordingError(f"series {number} of {path.name} holds no sweeps")
    pages = np.memmap(path, np.uint8, "r")  # once: a series may hold more traces than there can be maps
    first = [trace_of(path, pages, order, trace.record) for trace in sweeps[0].children]
    arrays: list[list[Any]] = []
    for number_of_sweep, sweep in enumerate(sweeps):
        traces = [trace_of(path, pages, order, trace.record) for trace in sweep.children]
        like = [(t.channel.unit, t.channel.sampling_rate) for t in traces]
        if like != [(t.channel.unit, t.channel.sampling_rate) for t in first]:
            raise RecordingError(
                f"series {number} of {path.name}: sweep {number_of_sweep} differs from the first in its traces, "
                "their units or sampling rates"
            )
        arrays.append([trace.scaled_to(one.gain) for trace, one in zip(traces, first, strict=True)])
    times = np.array([struct.unpack_from(f"{order}d", s.record, 48)[0] for s in sweeps])
    if not np.isfinite(times).all():
        raise RecordingError(
            f"series {number} of {path.name}: a sweep begins at {times[~np.isfinite(times)][0]} s"
        )
    return Recording(
        tuple(trace.channel for trace in first),
        ArraySamples(arrays, [(trace.gain, 0.0) for trace in first]),
        times - times[0],
        t0=_date(times[0]),
        path=path,
        format="HEKA",
        protocol=_label(series.record),
        comment=text_of(root.record[120:520]),
        metadata={
            "version": text_of(root.record[8:40]),
            "group": _label(group.record),
            "parts": [f"{i + 1}: {name}" for i, name in enumerate(names)],
            "part": number,
            "part_option": "series",
        },
    )


def _commands(order: str, stimuli: Node, series: Node, recording: Recording) -> tuple[Commands | None, str]:
    """Return the commands of a series by the stimulation that its first sweep names, and what is unknown."""
    sweep = next(sweep for sweep in series.children if sweep.children)
    (number,) = struct.unpack_from(f"{order}i", sweep.record, _STIMULATION)
    if not 1 <= number <= len(stimuli.children):
        return None, f"its sweeps name stimulation {number} of {len(stimuli.children)}"
    channels = [
        (channel.record, [segment.record for segment in channel.children])
        for channel in stimuli.children[number - 1].children
    ]
    lengths = tuple(recording.n_samples(i) for i in range(recording.n_sweeps))
    outputs: list[Output | None] = []
    unknown = ""
    for trace, about in zip(sweep.children, recording.channels, strict=True):
        adc = struct.unpack_from(f"{order}h", trace.record, _ADC)[0] if len(trace.record) >= _ADC + 2 else -1
        try:
            output = output_of(order, channels, si_unit(about.unit)[0], adc)
            if output is not None:
                for i in {0, len(lengths) - 1}:
                    output.sizes(i, lengths[i], about.sampling_rate)
        except UnknownCommandError as error:
            output, unknown = None, f"{about.name}: {error}"
        outputs.append(output)
    commands = Commands(tuple(outputs), lengths, tuple(about.sampling_rate for about in recording.channels))
    return commands if any(outputs) else None, unknown


def _label(record: bytes) -> str:
    return text_of(record[4:36])


def _date(seconds: float) -> datetime | None:
    """Return the wall-clock time of a HEKA time stamp, which counts from 1990 in its own way."""
    seconds -= 1580970496
    if seconds < 0:
        seconds += 4294967296
    seconds += 9561652096
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
