"""Recordings dropped on the viewer: they go to the session and open the trace dock, not a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_biofm.signals.readers import find_format, read_recording

LayerData = list[tuple[Any, ...]]
NO_LAYER: LayerData = [(None,)]  # what napari takes for "handled, nothing to add"
SUFFIXES = (".abf", ".nwb", ".hea")
CERTAIN = ("Axon ABF", "HEKA PatchMaster", "suite2p")
TRACE_DOCK = ("napari-biofm", "Traces and events")


def get_reader(path: str | Sequence[str]) -> Callable[[Any], LayerData] | None:
    """Return a reader for recordings of a known format, None for anything else."""
    paths = [path] if isinstance(path, str) else list(path)
    if not paths or not all(is_recording(Path(p)) for p in paths):
        return None
    return read


def is_recording(path: Path) -> bool:
    """Whether a file is a recording for certain: napari also asks about images, arrays and tables."""
    if path.suffix.lower() in SUFFIXES:
        return True
    form = find_format(path) if path.exists() else None
    return form is not None and form.name in CERTAIN


def read(path: str | Sequence[str]) -> LayerData:
    """Open recordings in the current viewer's session and show the trace dock.

    Raises
    ------
    RecordingError
        If a file cannot be read; recordings read before it stay open.
    """
    import napari

    from napari_biofm.widgets.viewers import viewer_session

    viewer = napari.current_viewer()
    session = viewer_session(viewer)
    for one in [path] if isinstance(path, str) else path:
        session.add_recording(read_recording(one))
    viewer.window.add_plugin_dock_widget(*TRACE_DOCK)
    return NO_LAYER
