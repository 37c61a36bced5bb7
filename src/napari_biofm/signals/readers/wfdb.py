"""WFDB (PhysioNet) records: headers and samples by the wfdb library, segments put together here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.signals.readers.wfdb_header import checked_header, parse_header
from napari_biofm.signals.readers.wfdb_samples import WfdbSamples
from napari_biofm.signals.readers.wfdb_segments import SegmentedSamples, read_segments
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError


def read_wfdb(path: Path) -> Recording:
    """Open a WFDB record by its header (.hea) or by the data file beside it.

    Records of several segments open as one: NaN where a segment is empty or lacks a signal.

    Raises
    ------
    RecordingError
        If wfdb is missing, the header is damaged, or a file of samples is not there.
    """
    record = path.with_suffix("")
    header = parse_header(record)
    samples: WfdbSamples | SegmentedSamples
    if getattr(header, "seg_name", None):
        samples = read_segments(record, header)
    else:
        samples = WfdbSamples(checked_header(record, header))
    about = samples.header
    if not about.signals or not about.length:
        raise RecordingError(f"{record.name}.hea describes no signals of known length")
    samples.raw(0, 0, 0, min(about.length, 2))
    return Recording(
        tuple(Channel(one.name, one.unit, about.rate * one.per_frame) for one in about.signals),
        samples,
        np.zeros(1),
        t0=getattr(header, "base_datetime", None),
        path=path.with_suffix(".hea"),
        format="WFDB",
        comment="; ".join(header.comments or []),
        metadata=_metadata(path, samples),
    )


def _metadata(path: Path, samples: WfdbSamples | SegmentedSamples) -> dict[str, Any]:
    """Return the endings of annotation files beside the record, and how many segments it has."""
    known = {".hea", ".dat", ".mat"}
    about: dict[str, Any] = {
        "annotations": sorted(
            p.suffix[1:] for p in path.parent.glob(f"{path.stem}.*") if p.suffix not in known
        )
    }
    return about | ({"segments": len(samples.pieces)} if isinstance(samples, SegmentedSamples) else {})
