"""AcqKnowledge (.acq) through bioread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import Channel, Tag
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError


def read_acq(path: Path) -> Recording:
    """Open an AcqKnowledge file; channels keep their own rates, event markers become tags.

    Raises
    ------
    RecordingError
        If bioread is missing or fails on the file.
    """
    bioread = need("bioread", path)
    try:
        data = bioread.read(str(path))
    except Exception as error:  # the library raises whatever a damaged byte leads it to
        raise RecordingError(f"bioread cannot read {path.name} ({type(error).__name__}: {error})") from error
    found = [one for one in data.channels if one.data is not None and len(one.data)]
    if not found:
        raise RecordingError(f"{path.name} holds no samples")
    channels = tuple(
        Channel(str(one.name), clean_unit(str(one.units)), float(one.samples_per_second)) for one in found
    )
    if not all(np.isfinite(c.sampling_rate) and c.sampling_rate > 0 for c in channels):
        raise RecordingError(f"{path.name} has a channel without a sampling rate")
    rate = float(data.samples_per_second)
    markers = getattr(data, "event_markers", None) or []
    return Recording(
        channels,
        ArraySamples([[np.asarray(one.data, np.float32) for one in found]]),
        np.zeros(1),
        path=path,
        format="AcqKnowledge",
        tags=tuple(Tag(float(m.sample_index) / rate, str(m.text)) for m in markers if m.text),
        metadata={"reader": "bioread"},
    )
