"""Recordings dropped on the viewer: they go to the session and open the trace dock, not a layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_biofm.signals.recorded import NOTES
from napari_biofm.types import RecordingError

LayerData = list[tuple[Any, ...]]
NO_LAYER: LayerData = [(None,)]  # what napari takes for "handled, nothing to add"
SUFFIXES = (
    ".abf", ".nwb", ".hea", ".atf", ".edf", ".bdf", ".wcp", ".ibw", ".pxp", ".acq", ".tdms",  # and what neo reads:
    ".smr", ".smrx", ".axgd", ".axgx", ".plx", ".rhd", ".rhs", ".ncs", ".nev", ".vhdr",
)  # fmt: skip
NIFTI = (".nii", ".nii.gz")
POSES = (".sdf", ".pdbqt")
TRACE_DOCK = ("napari-biofm", "Traces and events")


def get_reader(path: str | Sequence[str]) -> Callable[[Any], LayerData] | None:
    """Return a reader for recordings of a known format, None for anything else."""
    paths = [path] if isinstance(path, str) else list(path)
    if not paths or not all(is_recording(Path(p)) for p in paths):
        return None
    return read


def get_mask_reader(path: str | Sequence[str]) -> Callable[[Any], LayerData] | None:
    """Return a reader for masks of other programs (ImageJ, QuPath, COCO, Cellpose), None for anything else."""
    paths = [Path(path)] if isinstance(path, str) else [Path(p) for p in path]
    return read_mask_layers if paths and all(is_masks(p) for p in paths) else None


def is_masks(path: Path) -> bool:
    """Whether a file is called like masks that no other reader of napari opens."""
    return path.suffix.lower() in (".geojson", ".roi") and path.is_file()


def read_mask_layers(path: str | Sequence[str]) -> LayerData:
    """Return Labels layers of the masks in files, on the grid of the topmost image that is open.

    Raises
    ------
    ImageError
        If a file is damaged.
    """
    import napari
    import pandas as pd

    from napari_biofm.controllers.cells.layers import shape_of_image
    from napari_biofm.images.io.exchange.formats import read_cells
    from napari_biofm.images.io.names import stem_of

    viewer = napari.current_viewer()
    shape = None if viewer is None else shape_of_image(viewer)
    made: LayerData = []
    for one in [path] if isinstance(path, str) else path:
        found = read_cells(Path(one), shape if not str(one).lower().endswith("_seg.npy") else None)
        for words in found.notes:
            warnings.warn(f"{Path(one).name}: {words}.", stacklevel=1)
        features = {"index": list(found.classes), "class": list(found.classes.values())}
        options = (
            {"name": stem_of(Path(one)), "features": pd.DataFrame(features)}
            if found.classes
            else {"name": stem_of(Path(one))}
        )
        made.append((found.labels, options, "labels"))
    return made


def get_volume_reader(path: str | Sequence[str]) -> Callable[[Any], LayerData] | None:
    """Return a reader for NIfTI files, None for anything else."""
    paths = [Path(path)] if isinstance(path, str) else [Path(p) for p in path]
    return read_volume_layers if paths and all(p.name.lower().endswith(NIFTI) for p in paths) else None


def read_volume_layers(path: str | Sequence[str]) -> LayerData:
    """Return layers of NIfTI files, in seconds and millimetres; an atlas becomes labels. What each file is, is told.

    Raises
    ------
    ImageError
        If nibabel is not installed or a file is damaged.
    """
    import napari
    from napari.utils.notifications import show_info

    from napari_biofm.controllers.common.volume_layers import face_front, volume_layer
    from napari_biofm.images.io.volume_layers import read_volumes_to_show

    viewer = napari.current_viewer()
    if viewer is not None:
        face_front(viewer)
    made: LayerData = []
    for one in [path] if isinstance(path, str) else path:
        found = read_volumes_to_show(Path(one))
        made.append(volume_layer(found, Path(one)))
        show_info("\n".join(found.notes))
    return made


def get_pose_reader(path: str | Sequence[str]) -> Callable[[Any], LayerData] | None:
    """Return a reader for poses of compounds (SDF, PDBQT), None for anything else."""
    paths = [Path(path)] if isinstance(path, str) else [Path(p) for p in path]
    return read_pose_layers if paths and all(p.suffix.lower() in POSES for p in paths) else None


def read_pose_layers(path: str | Sequence[str]) -> LayerData:
    """Return layers of the first pose of each file, with the pocket of the one receptor (PDB) that lies beside it.

    Raises
    ------
    ConditionsError
        If RDKit is not installed or a file holds no pose.
    """
    import napari
    from napari.utils.notifications import show_info

    from napari_biofm.api.poses import pose_layers, read_poses
    from napari_biofm.conditions.poses.reading import receptor_beside

    made: LayerData = []
    for one in [path] if isinstance(path, str) else path:
        poses, notes = read_poses(one)
        receptor = receptor_beside(Path(one))
        made += pose_layers(poses[0], receptor)
        where = "no receptor beside it" if receptor is None else f"in {receptor.name}"
        show_info("\n".join([f"{poses[0].compound}: the first of {len(poses)} poses, {where}", *notes]))
    viewer = napari.current_viewer()
    if viewer is not None and not len(viewer.layers):
        viewer.dims.ndisplay = 3
    return made


def is_recording(path: Path) -> bool:
    """Whether a file is called like a recording that no other reader of napari opens."""
    return path.suffix.lower() in SUFFIXES


def read(path: str | Sequence[str]) -> LayerData:
    """Open recordings in the current viewer's session and show the trace dock.

    What a file does not say, its sampling rate or unit, is asked for.

    Raises
    ------
    RecordingError
        If no viewer is open, or a file cannot be read; recordings read before it stay open.
    """
    import napari
    from napari.utils.notifications import show_info

    from napari_biofm.controllers.common.recording_layers import put_recording
    from napari_biofm.widgets.common.recording_dialog import open_asking
    from napari_biofm.widgets.common.viewers import viewer_session

    viewer = napari.current_viewer()
    if viewer is None:
        raise RecordingError(
            f"{path} goes to the session of a viewer, and no viewer is open: use napari_biofm.read_recording."
        )
    session = viewer_session(viewer)
    for one in [path] if isinstance(path, str) else path:
        recording = open_asking(Path(one), _window())
        if recording is not None:
            put_recording(viewer, session, recording)
            if recording.metadata.get(NOTES):
                show_info(f"{recording.name}: {' '.join(recording.metadata[NOTES])}")
    viewer.window.add_plugin_dock_widget(*TRACE_DOCK)
    return NO_LAYER


def _window() -> Any:
    """Return the window to ask in; a file that is dropped from another program does not make napari's active."""
    from qtpy.QtWidgets import QApplication, QMainWindow

    shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible()]
    return QApplication.activeWindow() or next(iter(shown), None)
