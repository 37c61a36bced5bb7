"""National Instruments TDMS through nptdms: one group is one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples, as_float32
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

_UNITS = ("unit_string", "NI_UnitDescription", "unit", "Unit")


def read_tdms(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, group: int = 0
) -> Recording:
    """Open the channels of a group that hold numbers.

    Parameters
    ----------
    path : of the file.
    sampling_rate : Hz, where channels have no `wf_increment`.
    unit : where channels name none.
    group : counted from 0; `metadata["parts"]` names them.

    Raises
    ------
    RecordingError
        If nptdms is missing or fails, there is no such group, or rate or unit are neither stored nor given.
    """
    nptdms = need("nptdms", path)
    try:
        file = nptdms.TdmsFile.read(str(path))
        groups = [(g.name, [c for c in g.channels() if _is_numeric(c)]) for g in file.groups()]
    except Exception as error:  # the library raises whatever a damaged byte leads it to
        raise RecordingError(f"nptdms cannot read {path.name} ({type(error).__name__}: {error})") from error
    groups = [(name, channels) for name, channels in groups if channels]
    if not 0 <= group < len(groups):
        raise RecordingError(f"group {group} of {len(groups)} asked for in {path.name}")
    found = groups[group][1]
    channels = tuple(_channel(path, one, sampling_rate, unit) for one in found)
    start = float(found[0].properties.get("wf_start_offset", 0.0) or 0.0)
    return Recording(
        channels,
        ArraySamples([[as_float32(one[:]) for one in found]]),
        np.array([start]),
        path=path,
        format="TDMS",
        metadata={
            "reader": "nptdms", "parts": [name for name, _ in groups], "part": group, "part_option": "group",
        },
    )  # fmt: skip


def _is_numeric(channel: Any) -> bool:
    return len(channel) > 1 and np.dtype(channel.dtype).kind in "iuf"


def _channel(path: Path, channel: Any, rate: float | None, unit: str | None) -> Channel:
    properties = channel.properties
    step = float(properties.get("wf_increment", 0.0) or 0.0)
    told = next((str(properties[key]) for key in _UNITS if properties.get(key)), unit)
    rate = 1.0 / step if step > 0 else rate
    if rate is None or not told:
        raise RecordingError(
            f"{channel.name} of {path.name} does not say its {'rate' if rate is None else 'unit'}: give "
            "sampling_rate (Hz) and unit; neither is ever guessed"
        )
    whole = round(rate)
    return Channel(
        channel.name, clean_unit(told), checked_rate(whole if abs(rate - whole) < 1e-6 * rate else rate)
    )
