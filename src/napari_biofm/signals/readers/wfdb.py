"""WFDB (PhysioNet) records, read piece by piece through the wfdb library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recording import Channel, Recording
from napari_biofm.signals.samples import Raw
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError


@dataclass(frozen=True)
class WfdbSamples:
    """Samples of one record in physical units; each call reads the piece that is asked for."""

    record: str
    length: int

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.length

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        if stop <= start:
            return np.zeros(0, np.float32)
        piece = need("wfdb", Path(self.record)).rdrecord(
            self.record, sampfrom=start, sampto=stop, channels=[channel], return_res=32
        )
        return np.asarray(piece.p_signal[:, 0], np.float32)

    def scale(self, channel: int) -> tuple[float, float] | None:
        return None


def read_wfdb(path: Path) -> Recording:
    """Open a WFDB record by its header (.hea) or by the data file beside it.

    Raises
    ------
    RecordingError
        If wfdb is missing, the header is damaged, or the file of samples is not there.
    """
    wfdb = need("wfdb", path)
    record = str(path.with_suffix(""))
    try:
        header = wfdb.rdheader(record)
    except (ValueError, IndexError, OSError, TypeError) as error:
        raise RecordingError(
            f"{path.with_suffix('.hea').name} is no readable WFDB header: {error}"
        ) from error
    if not header.n_sig or not header.sig_len:
        raise RecordingError(f"{path.name} describes no signals of known length")
    for name in set(getattr(header, "file_name", None) or []):
        if name and not (path.parent / name).is_file():
            raise RecordingError(f"{path.name} needs the samples in {name}, which is not beside it")
    units = header.units or ["mV"] * header.n_sig  # the format's own default
    names = header.sig_name or [f"channel {i}" for i in range(header.n_sig)]
    channels = tuple(
        Channel(str(names[i]), clean_unit(str(units[i])), float(header.fs)) for i in range(header.n_sig)
    )
    samples = WfdbSamples(record, int(header.sig_len))
    try:
        samples.raw(0, 0, 0, min(samples.length, 2))
    except (ValueError, IndexError, OSError, TypeError) as error:
        raise RecordingError(f"the samples of {path.name} cannot be read: {error}") from error
    return Recording(
        channels,
        samples,
        np.zeros(1),
        t0=header.base_datetime,
        path=path.with_suffix(".hea"),
        format="WFDB",
        comment="; ".join(header.comments or []),
        metadata={"annotations": _annotations(path)},
    )


def _annotations(path: Path) -> list[str]:
    """Return the endings of annotation files beside the record."""
    known = {".hea", ".dat", ".mat"}
    return sorted(p.suffix[1:] for p in path.parent.glob(f"{path.stem}.*") if p.suffix not in known)


def has_header(path: Path) -> bool:
    """Say whether a WFDB header lies beside `path`."""
    return path.with_suffix(".hea").is_file()
