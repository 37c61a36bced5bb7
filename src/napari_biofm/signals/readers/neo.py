"""Everything else that neo reads, through its raw readers, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.places import leads_outside, outside_words
from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import Raw
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    from neo.rawio.baserawio import BaseRawIO


@dataclass
class NeoSamples:
    """Samples of one stream of signals; the reader is opened again after travelling."""

    path: Path
    stream: int
    scales: tuple[tuple[float, float], ...]
    _reader: Any = field(default=None, repr=False)

    @property
    def reader(self) -> BaseRawIO:
        if self._reader is None:
            self._reader = _open(self.path)
        return self._reader

    def n_samples(self, sweep: int, channel: int) -> int:
        return int(self.reader.get_signal_size(0, sweep, stream_index=self.stream))

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        chunk = self.reader.get_analogsignal_chunk(
            0, sweep, i_start=start, i_stop=stop, stream_index=self.stream, channel_indexes=[channel]
        )
        return np.asarray(chunk)[:, 0]

    def scale(self, channel: int) -> tuple[float, float] | None:
        return self.scales[channel]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}


def read_neo(path: Path, *, stream: int = 0) -> Recording:
    """Open the first block of a file that neo knows.

    Parameters
    ----------
    stream : which group of signals that share a clock; `metadata["parts"]` names them.

    Raises
    ------
    RecordingError
        If neo is missing, does not know the file, or fails on it.
    """
    reader = _open(path)
    streams = [str(name) for name in reader.header["signal_streams"]["name"]]
    if not 0 <= stream < len(streams):
        raise RecordingError(f"stream {stream} of {len(streams)} asked for in {path.name}")
    uid = reader.header["signal_streams"]["id"][stream]
    rows = [row for row in reader.header["signal_channels"] if row["stream_id"] == uid]
    n_sweeps = int(reader.segment_count(0))
    starts = [float(reader.get_signal_t_start(0, i, stream)) for i in range(n_sweeps)]
    scales = tuple((float(row["gain"]), float(row["offset"])) for row in rows)
    channels = tuple(
        Channel(str(row["name"]), clean_unit(str(row["units"])), float(row["sampling_rate"])) for row in rows
    )
    return Recording(
        channels,
        NeoSamples(path, stream, scales, reader),
        np.array(starts),
        path=path,
        format=type(reader).__name__.removesuffix("RawIO"),
        metadata={"reader": "neo", "parts": streams, "part": stream, "part_option": "stream"},
    )


def _check_named(path: Path) -> None:
    """Raise `RecordingError` where a header of BrainVision names files outside its folder."""
    if path.suffix.lower() != ".vhdr":
        return
    with path.open(encoding="latin-1") as file:
        for line in file:
            key, _, name = line.strip().partition("=")
            if key in ("DataFile", "MarkerFile") and name and leads_outside(path, name):
                raise RecordingError(f"{path.name}: {outside_words(path, key, name)}.")


def _open(path: Path) -> Any:
    rawio = need("neo.rawio", path)
    try:
        check_hdf5(path)
        _check_named(path)
        find = getattr(rawio, "get_rawio", None) or rawio.get_rawio_class
        kind = find(str(path))
        if kind is None:
            from napari_biofm.signals.readers import supported_suffixes

            known = ", ".join(supported_suffixes())
            raise RecordingError(f"{path.name} is of no format known here ({known}) or to neo")
        reader = kind(filename=str(path))
        reader.parse_header()
    except RecordingError:
        raise
    except Exception as error:  # every one of neo's readers raises in its own way
        raise RecordingError(f"neo cannot read {path.name} ({type(error).__name__}: {error})") from error
    if not len(reader.header["signal_streams"]):
        raise RecordingError(f"{path.name} holds no signals")
    return reader
