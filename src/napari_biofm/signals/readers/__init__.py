"""File -> `Recording`. One file per format; a format's library is imported when it is needed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_biofm.signals.plausible import unit_hints
from napari_biofm.signals.recorded import OPENED_WITH
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

Reader = Callable[..., Recording]


@dataclass(frozen=True)
class Format:
    """A kind of file: how it is recognised and who reads it.

    Attributes
    ----------
    name : as users call it.
    suffixes : lower-case endings that point to it.
    module, function : the reader, imported on first use.
    magic : first bytes of such a file; empty if it has none.
    explicit : whether the file may leave its sampling rate and unit to the user.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    function: str
    magic: tuple[bytes, ...] = ()
    explicit: bool = False

    def load(self) -> Reader:
        reader: Reader = getattr(
            importlib.import_module(f"napari_biofm.signals.readers.{self.module}"), self.function
        )
        return reader


FORMATS: tuple[Format, ...] = (
    Format("Axon ABF", (".abf",), "abf", "read_abf", (b"ABF ", b"ABF2")),
    Format("HEKA PatchMaster", (), "heka", "read_heka", (b"DAT2",)),
    Format("NumPy", (".npz", ".npy"), "arrays", "read_numpy", (b"\x93NUMPY",), explicit=True),
    Format("NWB", (".nwb",), "nwb", "read_nwb"),
    Format("HDF5", (".h5", ".hdf5"), "hdf5", "read_hdf5", (b"\x89HDF\r\n",), explicit=True),
    Format("WFDB", (".hea",), "wfdb", "read_wfdb"),
    Format("Axon Text File", (".atf",), "atf", "read_atf", (b"ATF\t", b"ATF ")),
    Format("EDF or BDF", (".edf", ".bdf"), "edf", "read_edf"),
    Format("WinWCP", (".wcp",), "winwcp", "read_wcp"),
    Format("Igor", (".ibw", ".pxp"), "igor", "read_igor", explicit=True),
    Format("TDMS", (".tdms",), "tdms", "read_tdms", (b"TDSm",), explicit=True),
    Format("MATLAB", (".mat",), "matlab", "read_mat", (b"MATLAB ",), explicit=True),
    Format("AcqKnowledge", (".acq",), "biopac", "read_acq"),
    Format("text", (".csv", ".tsv", ".txt"), "text", "read_text", explicit=True),
)
SUITE2P = Format("suite2p", (), "suite2p", "read_suite2p", explicit=True)
NEO = Format("neo", (), "neo", "read_neo")


def supported_suffixes() -> tuple[str, ...]:
    """Return the file endings that `read_recording` knows, sorted."""
    return tuple(sorted({suffix for one in FORMATS for suffix in one.suffixes}))


def find_format(path: Path) -> Format | None:
    """Return the format of a file, by its ending and first bytes; None is left for neo to know."""
    if path.is_dir() or path.name in ("F.npy", "Fall.mat"):
        from napari_biofm.signals.readers.suite2p import is_suite2p

        if is_suite2p(path):
            return SUITE2P
    name, head = path.name.lower(), b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(16)
    if path.suffix.lower() in (".dat", ".mat") and path.with_suffix(".hea").is_file():
        return next(one for one in FORMATS if one.name == "WFDB")
    by_name = next((one for one in FORMATS if name.endswith(one.suffixes or ("\0",))), None)
    by_head = next((one for one in FORMATS if any(head.startswith(m) for m in one.magic)), None)
    if by_name is not None and not by_name.magic:
        return by_name
    return by_head or by_name


def read_recording(
    path: str | Path, *, sampling_rate: float | None = None, unit: str | None = None, **options: Any
) -> Recording:
    """Open a recording of any supported format, without loading its samples where the format allows.

    Parameters
    ----------
    path : file, or a suite2p folder.
    sampling_rate : Hz; for formats that may not carry it (plain arrays, CSV, HDF5) and refused for
        those that do.
    unit : where the file names none, or names a wrong one: of the channels whose unit cannot be right, of
        the only channel, or by channel as "1=mV,2=pA". Numbers stay as they are.
    **options : passed to the reader of the format, e.g. `series` of a HEKA bundle, `dataset` of HDF5,
        `stream` of a file read by neo.

    Raises
    ------
    RecordingError
        If the file is missing, of no known format, damaged, or needs a rate or unit that is not given.
    """
    path = Path(path)
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    form = find_format(path) or NEO
    if sampling_rate is not None and not form.explicit:
        raise RecordingError(
            f"sampling_rate given for {path.name}, but {form.name} files carry it; leave it out"
        )
    said = {"sampling_rate": sampling_rate, "unit": unit}
    given = {key: value for key, value in said.items() if value is not None}
    passed = options | ({key: _plain(value) for key, value in given.items()} if form.explicit else {})
    reader = form.load()
    unknown = set(passed) - set(inspect.signature(reader).parameters)
    if unknown:
        raise RecordingError(
            f"{' and '.join(sorted(unknown))} given for {path.name}, but {form.name} has none"
        )
    try:
        recording = reader(path, **{key: value for key, value in passed.items() if value is not None})
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise RecordingError(f"{path.name} does not fit into memory") from error
    if unit is not None:
        recording = with_unit(recording, unit)
    opened = {**options, **given}
    if not opened:
        return recording
    return dataclasses.replace(recording, metadata={**recording.metadata, OPENED_WITH: opened})


def _plain(value: object) -> object:
    """Return what readers are given: a unit for all columns, none where units are said by channel."""
    return None if isinstance(value, str) and "=" in value else value


def with_unit(recording: Recording, unit: str) -> Recording:
    """Return a recording with a unit put right; numbers stay as they are.

    Parameters
    ----------
    recording : as it was read.
    unit : "1=mV,2=pA" by channel; or one for the channels whose unit cannot be right, or for the only channel.

    Raises
    ------
    RecordingError
        If it is not clear which channel is meant, or there is none of a number.
    """
    if "=" in unit:
        pairs = [part.partition("=") for part in unit.split(",")]
        if not all(number.strip().isdecimal() and name.strip() for number, _, name in pairs):
            raise RecordingError(f"unit {unit!r}: give one unit, or one per channel such as '1=mV,2=pA'")
        for number, _, name in pairs:
            recording = _relabelled(recording, int(number), name.strip())
        return recording
    name = clean_unit(unit)
    wrong = [c for c, hint in unit_hints(recording).items() if hint.proposal == name]
    if recording.n_channels == 1 or recording.is_cells:
        wrong = list(range(recording.n_channels))
    elif not wrong and not any(channel.unit == name for channel in recording.channels):
        channels = ", ".join(f"{i} ({c.name}, {c.unit})" for i, c in enumerate(recording.channels[:8]))
        raise RecordingError(
            f"unit {unit} given for {recording.name}: say for which of its channels {channels}, "
            f"e.g. unit='0={unit}'"
        )
    for channel in wrong:
        recording = _relabelled(recording, channel, name)
    return recording


def _relabelled(recording: Recording, channel: int, unit: str) -> Recording:
    same = 0 <= channel < recording.n_channels and recording.channels[channel].unit == clean_unit(unit)
    return recording if same else recording.with_channel(channel, unit=unit)


def read_part(recording: Recording, number: int) -> Recording:
    """Read another part of a recording's file; `metadata["parts"]` names them.

    Raises
    ------
    RecordingError
        If the file has no such part.
    """
    parts = recording.metadata.get("parts", ())
    if recording.path is None or not 0 <= number < len(parts):
        raise RecordingError(
            f"part {number} asked for in {recording.name}; it has "
            + (f"parts 0 to {len(parts) - 1}" if len(parts) > 1 else "one part only")
        )
    options = {**recording.metadata.get(OPENED_WITH, {}), str(recording.metadata["part_option"]): number}
    return read_recording(recording.path, **options)
