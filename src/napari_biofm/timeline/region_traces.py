"""From a series of volumes and an atlas to a recording: a channel per region, in one job."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.nifti import Volumes, region_series
from napari_biofm.signals import Recording
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.types import Progress, Task


def measure_regions(
    values: NDArray[np.floating] | NDArray[np.integer],
    atlas: NDArray[np.integer],
    affines: tuple[NDArray[np.float64], NDArray[np.float64]],
    rate: float,
    title: str,
    names: Mapping[int, str] | None = None,
    measured_on: MeasuredOn | None = None,
) -> Task[Recording]:
    """Measure the mean of each region of an atlas in each volume.

    Parameters
    ----------
    values : (x, y, z, t).
    atlas : (x, y, z) numbers of regions, 0 outside.
    affines : (4, 4) each, of the series and of the atlas, from voxels to millimetres.
    rate : volumes per second.
    title : of the recording, for messages.
    names : of the regions by number.
    measured_on : layers that the traces are of.

    Returns
    -------
    A recording whose channels are the regions; their label is the number of the region in the atlas.

    Raises
    ------
    ImageError
        If the atlas lies in another space, is empty, or holds no whole numbers.
    """
    yield Progress(0, 1, "regions")
    series, labels, numbers = region_series(
        Volumes(values, affines[0], 1 / rate, title), Volumes(atlas, affines[1], None, "the atlas"), names
    )
    known = [
        name if name != str(n) else f"region {n}" for name, n in zip(labels, numbers.tolist(), strict=True)
    ]
    return Recording.from_arrays(
        series.T, rate, "a.u.", names=known, labels=numbers, format="volumes", measured_on=measured_on
    )
