"""Patch-clamp series of an NWB file as sweeps with their stimuli."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.nwb_series import SeriesOnDisk, has_clock, scale_of, start_of, unit_of
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.samples import ArraySamples, scaled
from napari_biofm.types import Trace

if TYPE_CHECKING:
    from pynwb import NWBFile

Scale = tuple[float, float]
Made = dict[str, Any]


@dataclass(frozen=True)
class Rescaled:
    """A trace whose stored numbers mean something else than those of the channel's first sweep."""

    trace: Any
    gain: float
    offset: float

    @property
    def shape(self) -> tuple[int]:
        """(n_samples,)."""
        return (int(self.trace.shape[0]),)

    def __getitem__(self, span: slice) -> NDArray[np.float64]:
        return self.trace[span] * self.gain + self.offset


@dataclass(frozen=True)
class Stimuli:
    """The stimulus series of each sweep and channel, read when asked for."""

    traces: dict[tuple[int, int], tuple[Any, Scale, str, float]]

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        """Return the command, in its unit."""
        found = self.traces.get((sweep, channel))
        if found is None:
            return None
        trace, scale, unit, rate = found
        return Trace(scaled(trace[0 : trace.shape[0]], scale), rate, unit, sweep, channel)


def patch_parts(path: Path, nwb: NWBFile, series: Sequence[Any]) -> list[tuple[str, Callable[[], Made]]]:
    """Return what was recorded together: name, and how to make channels and sweeps of it.

    A channel is an electrode, a quantity and a rate; channels whose sweeps start together are one part.
    """
    channels: dict[tuple[str, str, float], list[SeriesOnDisk]] = {}
    for one in series:
        disk = SeriesOnDisk(path, one)
        channels.setdefault((one.electrode.name, unit_of(one)[0], disk.clock.rate), []).append(disk)
    together: dict[tuple[float, ...], list[tuple[tuple[str, str, float], list[SeriesOnDisk]]]] = {}
    for key, group in channels.items():
        group.sort(key=lambda d: (_sweep_number(d.series), start_of(d.series), d.series.name))
        starts = tuple(round(start_of(d.series), 6) for d in group)
        together.setdefault(starts, []).append((key, group))
    stimuli = _stimuli_of(nwb)
    parts: list[tuple[str, Callable[[], Made]]] = []
    for members in sorted(together.values(), key=lambda m: -len(m[0][1])):  # the longest protocol first
        names = ", ".join(f"{electrode} ({unit})" for (electrode, unit, _), _ in members)
        n = len(members[0][1])
        parts.append(
            (
                f"{names}, {n} sweep{'s' * (n != 1)}",
                partial(_sweeps, path, members, stimuli),
            )
        )
    return parts


def _sweeps(
    path: Path, members: Sequence[tuple[tuple[str, str, float], Sequence[SeriesOnDisk]]], stimuli: _Lookup
) -> Made:
    channels, scales = [], []
    arrays: list[list[Any]] = [[] for _ in members[0][1]]
    commands: dict[tuple[int, int], tuple[Any, Scale, str, float]] = {}
    said: dict[str, None] = {}
    for number, ((electrode, unit, rate), group) in enumerate(members):
        channels.append(Channel(electrode, unit, rate))
        scale = scale_of(group[0].series)
        scales.append(scale)
        for sweep, disk in enumerate(group):
            arrays[sweep].append(_on_scale(disk, scale))
            said[disk.clock.said] = None
            stimulus = stimuli.of(disk.series)
            if stimulus is not None:
                given = SeriesOnDisk(path, stimulus)
                commands[sweep, number] = (
                    given.trace(), scale_of(stimulus), unit_of(stimulus)[0], given.clock.rate
                )  # fmt: skip
    first = [disk.series for disk in members[0][1]]
    return {
        "kind": "intracellular",
        "channels": tuple(channels),
        "samples": ArraySamples(arrays, scales),
        "sweep_starts": np.array([start_of(s) for s in first]),
        "protocol": str(getattr(first[0], "stimulus_description", "") or ""),
        "command_source": Stimuli(commands) if commands else None,
        "said": "; ".join(text for text in said if text),
    }


def _on_scale(disk: SeriesOnDisk, scale: Scale) -> Any:
    """Return a sweep so that the channel's scale is right for it, though the amplifier's gain was changed."""
    gain, offset = scale_of(disk.series)
    if (gain, offset) == scale:
        return disk.trace()
    return Rescaled(disk.trace(), gain / scale[0], (offset - scale[1]) / scale[0])


@dataclass(frozen=True)
class _Lookup:
    """Which stimulus belongs to which response: by the table of recordings, else by electrode and sweep."""

    by_response: dict[str, Any]
    by_sweep: dict[tuple[str, int], Any]

    def of(self, response: Any) -> Any | None:
        """Return the stimulus series of a response, None if the file has none."""
        found = self.by_response.get(response.object_id)
        if found is None and _sweep_number(response) >= 0:
            found = self.by_sweep.get((response.electrode.name, _sweep_number(response)))
        return found if found is not None and found is not response and has_clock(found) else None


def _stimuli_of(nwb: Any) -> _Lookup:
    by_response: dict[str, Any] = {}
    table = nwb.intracellular_recordings
    for row in range(len(table) if table is not None else 0):
        response = table["responses"]["response"][row].timeseries
        stimulus = table["stimuli"]["stimulus"][row].timeseries
        if response is not None and stimulus is not None:
            by_response[response.object_id] = stimulus
    by_sweep = {
        (one.electrode.name, _sweep_number(one)): one
        for one in nwb.stimulus.values()
        if getattr(one, "electrode", None) is not None and getattr(one.data, "ndim", 0) == 1
    }
    return _Lookup(by_response, by_sweep)


def _sweep_number(series: Any) -> int:
    number = getattr(series, "sweep_number", None)
    return -1 if number is None else int(number)
