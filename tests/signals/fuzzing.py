"""Open a damaged file as far as it goes, and hold it to a limit of work and memory."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

from tests.counting import at_most

from napari_biofm.signals import read_recording
from napari_biofm.types import RecordingError

ABSURD = (-1, 0, 1, 0x7FFF, -0x8000, 0x7FFFFFFF, -0x80000000, 0x40000000, 999_999)
SLACK = 2_000_000  # bytes that opening any file may take, on top of
FACTOR = 16  # times its size: a command is worked out in doubles, four times the size of int16 samples
MOST_CALLS = 2_000_000  # of functions; a summary visits every sweep, and a damaged header may name one for every few samples


def open_everything(path: Path, size: int | None = None) -> str:
    """Open a file and use all of it; return "read" or "refused".

    Parameters
    ----------
    size : bytes of all files that belong to it; of the file itself by default.
    """
    tracemalloc.start()
    try:
        with warnings.catch_warnings(), at_most(MOST_CALLS):
            warnings.simplefilter("ignore")
            recording = read_recording(path)
            recording.summary()
            for sweep in range(min(recording.n_sweeps, 3)):
                for channel in range(min(recording.n_channels, 3)):
                    recording.values(sweep, channel)
                    recording.command(sweep, channel)
        outcome = "read"
    except RecordingError as error:
        outcome = "refused" if path.stem in str(error) else f"refused without a name: {error}"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    size = path.stat().st_size if size is None else size
    assert outcome in ("read", "refused"), outcome
    assert peak < FACTOR * size + SLACK, f"{peak} bytes for files of {size}"
    return outcome
