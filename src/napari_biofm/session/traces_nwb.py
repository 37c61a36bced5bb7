"""Traces of cells as NWB, without a session: masks, dF/F, raw brightness and neuropil on the clock of the movie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals.calcium import CellTraces
from napari_biofm.signals.nwb_about import NwbAbout
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.signals.recording import Recording


def write_traces_nwb(
    traces: CellTraces, masks: NDArray[np.integer], path: Path, about: NwbAbout | None = None
) -> Path:
    """Write traces as NWB 2: dF/F (z-scores where F0 cannot be trusted), raw brightness and neuropil of each cell.

    Parameters
    ----------
    traces : of the cells.
    masks : (Y, X) labels that they were measured on.
    path : ending in .nwb; replaced atomically.
    about : the experiment and the animal, where they are known.

    Returns
    -------
    The path.

    Raises
    ------
    SessionError
        If pynwb is not installed.
    """
    labels = np.asarray(masks, np.int32)
    where = MeasuredOn("movie", "masks")
    made = {"dff": traces.recording(labels)}
    for name, values in (("raw", traces.raw), ("neuropil", traces.neuropil)):
        made[name] = Recording.from_arrays(
            values, traces.frame_rate, ["a.u."] * len(values), labels=traces.labels, rois=labels
        )
    recordings = {name: dataclasses.replace(one, measured_on=where) for name, one in made.items()}
    layers = (
        SavedLayer("movie", "image", "movie", shape=(traces.dff.shape[1], *labels.shape)),
        SavedLayer("masks", "labels", "cells", data=labels, shape=labels.shape),
    )
    saved = Saved(layers=layers, recordings=recordings, labels="masks", image="movie")
    return write_nwb(path, saved, about=about)
