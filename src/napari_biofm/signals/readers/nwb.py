"""Neurodata Without Borders: intracellular sweeps, ROI responses and other series, left on disk."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.signals.nwb_about import METADATA, about_in_file
from napari_biofm.signals.nwb_icephys import PLACEHOLDER
from napari_biofm.signals.readers.nwb_cells import cell_parts
from napari_biofm.signals.readers.nwb_patch import Stimuli, patch_parts
from napari_biofm.signals.readers.nwb_series import (
    SeriesOnDisk,
    has_clock,
    is_numeric,
    rate_of,
    scale_of,
    start_of,
    sweeps_of,
    unit_of,
)
from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.types import RecordingError

_EXPORTED = re.compile(r"^sweep(\d+)_(\d+)_(.*)$")  # names given by our own export


@dataclass(frozen=True)
class Part:
    """What can be shown together of a file: its name and how to make a recording of it."""

    name: str
    make: Callable[[], dict[str, Any]]


def read_nwb(path: Path, *, series: int = 0, mask_order: str = "xy") -> Recording:
    """Open an NWB file: patch-clamp sweeps first, then ROI responses as cells, then any other series.

    Parameters
    ----------
    series : which part of the file, counted from 0; `metadata["parts"]` names them all. Series that
        share electrode, quantity and clock are one part, so that nothing is laid side by side that was
        not recorded together.
    mask_order : of the axes of `image_mask`, "xy" as NWB's schema says, or "yx".

    Raises
    ------
    RecordingError
        If pynwb is missing, the file is damaged, or holds no such part.
    """
    pynwb = need("pynwb", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_hdf5(path)
            io = pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True)
            with io:
                return _read(path, io.read(), pynwb, series, mask_order)
    except RecordingError:
        raise
    except Exception as error:  # hdmf raises in many ways on a damaged file
        raise RecordingError(
            f"{path.name} is no readable NWB file ({type(error).__name__}: {error})"
        ) from error


def _read(path: Path, nwb: Any, pynwb: Any, number: int, mask_order: str) -> Recording:
    acquired = [s for s in nwb.acquisition.values() if isinstance(s, pynwb.TimeSeries) and is_numeric(s)]
    patch = [s for s in acquired if isinstance(s, pynwb.icephys.PatchClampSeries) and has_clock(s)]
    cells = cell_parts(path, nwb, pynwb, mask_order)
    clocked = [s for s in acquired if has_clock(s)]
    ours = {s.name: match for s in clocked if (match := _EXPORTED.match(s.name))}
    whole = len(ours) == len(clocked) > 0  # sweeps of our own export, clamped and other channels together
    patch, others = ([], []) if whole else (patch, [s for s in clocked if s not in patch])
    parts = [
        *([Part("sweeps", lambda: _exported(path, clocked, ours, nwb.stimulus))] if whole else []),
        *(Part(name, make) for name, make in patch_parts(path, nwb, patch)),
        *(Part(name, make) for name, make in cells),
        *_plain_parts(path, others),
    ]
    if not parts:
        raise RecordingError(f"{path.name} holds no series of samples with a rate or time stamps")
    if not 0 <= number < len(parts):
        raise RecordingError(
            f"part {number} of {len(parts)} asked for in {path.name}; they are numbered 0 to {len(parts) - 1}"
        )
    found = parts[number].make()
    said, kind = found.pop("said", ""), found.pop("kind")
    names = [part.name for part in parts]
    metadata = {
        "identifier": str(nwb.identifier),
        "kind": kind,
        "parts": names,
        "part": number,
        "part_option": "series",
        METADATA: about_in_file(path).given,
        **found.pop("more", {}),
    }
    if said:
        metadata["timestamps"] = said
    return Recording(
        path=path,
        format="NWB",
        t0=_start(nwb),
        comment="; ".join(text for text in (nwb.session_description, said) if text),
        metadata=metadata,
        **found,
    )


# ------------------------------------------------------------------ any other series


def _plain_parts(path: Path, series: Sequence[Any]) -> list[Part]:
    """Return series that share a clock and a length as channels of one part."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for one in series:
        stamps = one.timestamps.name if one.timestamps is not None else None
        groups.setdefault((one.rate, start_of(one), stamps, int(one.data.shape[0])), []).append(one)
    return [Part(_name_of(group[0], len(group)), partial(_plain, path, group)) for group in groups.values()]


def _plain(path: Path, group: Sequence[Any]) -> dict[str, Any]:
    disks = [SeriesOnDisk(path, one) for one in group]
    arrays, starts, rate, said = sweeps_of(disks)
    channels, scales = [], []
    for disk, one in zip(disks, group, strict=True):
        for i in range(disk.width):
            channels.append(
                Channel(one.name if disk.width == 1 else f"{one.name} {i}", unit_of(one)[0], rate)
            )
            scales.append(scale_of(one))
    return {
        "kind": "time series",
        "channels": tuple(channels),
        "samples": ArraySamples(arrays, scales),
        "sweep_starts": starts,
        "said": said,
    }


def _exported(
    path: Path, series: Sequence[Any], names: dict[str, re.Match[str]], stimuli: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the sweeps of our own export with their commands, as they were."""
    at = {(int(names[s.name][1]), int(names[s.name][2])): s for s in series}
    sweeps, indices = (sorted({key[i] for key in at}) for i in (0, 1))
    first = [at[sweeps[0], i] for i in indices]
    arrays = [[SeriesOnDisk(path, at[sweep, i]).trace() for i in indices] for sweep in sweeps]
    commands = {}
    for row, sweep in enumerate(sweeps):
        for column, i in enumerate(indices):
            one = stimuli.get(f"command{sweep:04d}_{i:02d}")
            if one is not None:
                trace = SeriesOnDisk(path, one).trace()
                commands[row, column] = (trace, scale_of(one), unit_of(one)[0], rate_of(one))
    return {
        "kind": "sweeps",
        "channels": tuple(Channel(_title(s, names[s.name]), unit_of(s)[0], rate_of(s)) for s in first),
        "protocol": str(getattr(first[0], "stimulus_description", "") or ""),
        "samples": ArraySamples(arrays, [scale_of(s) for s in first]),
        "sweep_starts": np.array([start_of(at[sweep, indices[0]]) for sweep in sweeps]),
        "command_source": Stimuli(commands) if commands else None,
    }


def _start(nwb: Any) -> Any:
    """Return when the session began, None where the file has the placeholder of one that did not say."""
    start = nwb.session_start_time
    plain = start.replace(tzinfo=None) if start else None
    return None if plain == PLACEHOLDER else plain


def _title(series: Any, name: re.Match[str]) -> str:
    """Return the name of a channel as it was, which the names of series cannot hold."""
    said = str(series.comments or "")
    return said if said and said != "no comments" else name[3]


def _name_of(series: Any, together: int = 1) -> str:
    more = f" and {together - 1} more" if together > 1 else ""
    return f"{series.name}{more} ({unit_of(series)[0]})"
