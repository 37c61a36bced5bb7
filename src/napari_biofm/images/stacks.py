"""Images with more than two axes: which axis is what, and masks of whole stacks plane by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.checks import read_image
from napari_biofm.types import (
    ImageError,
    Labels,
    Progress,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
)

MAX_CHANNELS = 16
KEPT_VOXELS = 1 << 26  # of a stack whose flows are kept, 12 bytes each
STITCH_IOU = 0.25  # overlap above which objects of neighbouring planes are one


def read_stack(path: Path) -> tuple[NDArray[Any], bool]:
    """Read an image and tell whether it is a stack.

    Returns
    -------
    image : (Y, X), (Y, X, C), or (Z, Y, X) / (Z, Y, X, C) for a stack; a leading time axis counts as Z.
    is_stack : whether the first axis is Z or time.

    Raises
    ------
    ImageError
        If the file cannot be read or has more axes than these.
    """
    if path.suffix.lower() == ".zarr":
        from napari_biofm.images.lazy import open_lazily

        image = open_lazily(path)
        if image is not None:
            return image[:], image.is_stack
    axes = tiff_axes(path)
    array = read_image(path)
    if axes is not None and len(axes) == array.ndim:
        return _order(array, axes, path.name)
    return _guess(array, path.name)


def open_movie(path: Path) -> tuple[Any, float | None]:
    """Open a movie without reading it.

    Returns
    -------
    movie : (T, Y, X) array-like that accepts slices: a memory map where the file allows, else a lazy
        zarr view of its pages, else an array.
    frame_rate : Hz, from OME or ImageJ metadata, or None where the file does not say.

    Raises
    ------
    ImageError
        If the file cannot be read or is no movie of one channel.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        movie = (
            np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix == ".npy" else read_image(path)
        )
        return _as_movie(movie, path), None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            rate = _frame_rate(file)
        movie = lazy_tiff(path)
    except ImageError:
        raise
    except Exception as error:  # whatever a damaged header makes of it
        raise ImageError(
            f"{path.name} cannot be read as a movie ({error}); save it again as TIFF."
        ) from error
    return _as_movie(movie, path), rate


class LazyTiff:
    """Pages of a compressed TIFF, read when sliced; the file is closed with the last reference.

    Parameters
    ----------
    path : the file.
    """

    def __init__(self, path: Path) -> None:
        import tifffile
        import zarr

        self._store: Any = tifffile.imread(path, aszarr=True)
        node = zarr.open(self._store, mode="r")
        self._array: Any = node["0"] if isinstance(node, zarr.Group) else node
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype = self._array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index])

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        store = getattr(self, "_store", None)
        if store is not None:
            store.close()


def lazy_tiff(path: Path) -> Any:
    """Return the first series of a TIFF as a memory map, or as pages that are read when sliced."""
    import tifffile

    try:
        return tifffile.memmap(path, mode="r")
    except ValueError:  # compressed, or not in one piece
        return LazyTiff(path)


def _as_movie(movie: Any, path: Path) -> Any:
    if movie.ndim != 3:
        raise ImageError(f"{path.name} has shape {tuple(movie.shape)}; a movie is (T, Y, X).")
    return movie


def _frame_rate(file: Any) -> float | None:
    import re

    if file.ome_metadata:
        found = re.search(r'TimeIncrement="([^"]+)"(?:[^>]*TimeIncrementUnit="([^"]+)")?', file.ome_metadata)
        scale = {"s": 1.0, "ms": 1e-3, "min": 60.0}.get(found.group(2) or "s") if found else None
        if found and scale and float(found.group(1)) > 0:
            return 1.0 / (float(found.group(1)) * scale)
    interval = (file.imagej_metadata or {}).get("finterval")
    return 1.0 / float(interval) if interval else None


def tiff_axes(path: Path) -> str | None:
    """Return the axes a TIFF names, letters of TZCYXS; None where it names none that are known."""
    if path.suffix.lower() not in (".tif", ".tiff", ".lsm", ".stk"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            axes = str(file.series[0].axes) if file.series else None
    except (OSError, ValueError, IndexError, tifffile.TiffFileError):
        return None  # `read_image` gives the error with its remedy
    known = axes is not None and not set(axes) - set("TZCYXS") and "Y" in axes and "X" in axes
    return axes if known else None


def _order(array: NDArray[Any], axes: str, name: str) -> tuple[NDArray[Any], bool]:
    """Bring named axes to (Z, Y, X, C)."""
    if "S" in axes and "C" in axes:
        raise ImageError(f"{name} has both samples and channels (axes {axes}); save one of them.")
    axes = axes.replace("S", "C")
    leading = [a for a in "TZ" if a in axes and array.shape[axes.index(a)] > 1]
    if len(leading) > 1:
        raise ImageError(f"{name} has time and z (axes {axes}); give one time point or one plane at a time.")
    for a in "TZC":
        if a in axes and a not in leading and (a != "C" or array.shape[axes.index(a)] == 1):
            array, axes = np.take(array, 0, axis=axes.index(a)), axes.replace(a, "")
    wanted = "".join(leading) + "YX" + ("C" if "C" in axes else "")
    return np.transpose(array, [axes.index(a) for a in wanted]), bool(leading)


def _guess(array: NDArray[Any], name: str) -> tuple[NDArray[Any], bool]:
    """Decide by size where a file does not name its axes: few entries are channels."""
    if array.ndim == 2:
        return array, False
    if array.ndim == 3:
        if array.shape[2] <= MAX_CHANNELS and array.shape[2] < min(array.shape[:2]):
            return array, False
        if array.shape[0] <= 4 and array.shape[0] < min(array.shape[1:]):
            return np.moveaxis(array, 0, 2), False
        return array, True
    if array.ndim == 4:
        return (array, True) if array.shape[3] <= MAX_CHANNELS else (np.moveaxis(array, 1, 3), True)
    raise ImageError(
        f"{name} has {array.ndim} axes (shape {array.shape}); give at most Z, Y, X and channels."
    )


def segment_stack(
    segmenter: Segmenter, stack: NDArray[Any], parameters: SegmentationParameters
) -> Task[Segmentation]:
    """Segment plane by plane and join objects that overlap from plane to plane.

    The diameter estimated on the middle plane is used for all, so that scale does not flicker.

    Parameters
    ----------
    segmenter : any 2D segmenter.
    stack : (Z, Y, X) or (Z, Y, X, C).
    parameters : as for one plane.

    Returns
    -------
    Segmentation
        masks (Z, Y, X), flows (2, Z, Y, X) and cell_prob (Z, Y, X) where the segmenter has them and they fit;
        features are not kept for stacks.
    """
    n = len(stack)
    masks = np.zeros(stack.shape[:3], np.int32)
    kept = PlaneFlows(stack.shape[:3])
    provenance: dict[str, Any] = {}
    middle = yield from segmenter.segment(stack[n // 2], parameters)
    diameter = parameters.diameter or middle.diameter
    fixed = SegmentationParameters(
        diameter, parameters.flow_threshold, parameters.cellprob_threshold, parameters.min_size
    )
    for z in range(n):
        found = yield from segmenter.segment(stack[z], fixed)
        masks[z] = found.masks
        kept.put(z, found)
        provenance = dict(found.provenance)
        yield Progress(z + 1, n, f"plane {z + 1} of {n}")
    flows, cell_prob = kept.whole
    return Segmentation(
        stitch(masks),
        flows,
        cell_prob,
        diameter=diameter,
        provenance={**provenance, "stitch_iou": STITCH_IOU},
    )


class PlaneFlows:
    """Collects the flows of planes that are segmented one by one, for flow basins and new thresholds.

    Parameters
    ----------
    shape : (Z, Y, X); larger stacks than `KEPT_VOXELS` keep nothing.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = tuple(shape)
        self._whole: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._complete = int(np.prod(shape, dtype=np.int64)) <= KEPT_VOXELS

    def put(self, index: int, found: Segmentation) -> None:
        """Keep what was found in one plane; a plane without flows ends the keeping."""
        if found.flows is None or found.cell_prob is None:
            self._complete, self._whole = False, None
        if not self._complete or found.flows is None or found.cell_prob is None:
            return
        if self._whole is None:
            self._whole = np.zeros((2, *self._shape), np.float32), np.zeros(self._shape, np.float32)
        self._whole[0][:, index], self._whole[1][index] = found.flows, found.cell_prob

    @property
    def whole(self) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Flows (2, Z, Y, X) and cell probability (Z, Y, X), or None twice."""
        return (None, None) if self._whole is None else self._whole


def numbered(planes: Labels) -> Labels:
    """Give every object of every plane (T, Y, X) an id of its own."""
    out, highest = planes.copy(), 0
    for plane in out:
        top = int(plane.max(initial=0))
        plane[plane > 0] += highest
        highest += top
    return out


def stitch(planes: Labels, iou: float = STITCH_IOU) -> Labels:
    """Give objects of neighbouring planes one label where they overlap by more than `iou`.

    Parameters
    ----------
    planes : (Z, Y, X) int32, each plane labelled on its own.
    iou : intersection over union above which two objects are one.

    Returns
    -------
    Labels
        (Z, Y, X) int32 with labels 1..n.
    """
    joined = np.zeros_like(planes)
    highest = 0
    for z, plane in enumerate(planes):
        n = int(plane.max())
        names = np.zeros(n + 1, np.int32)
        if z and n and joined[z - 1].any():
            names = names_from_below(plane, joined[z - 1], iou)
        new = np.flatnonzero(names[1:] == 0) + 1
        new = new[np.isin(new, plane)]
        names[new] = np.arange(highest + 1, highest + 1 + len(new))
        highest += len(new)
        joined[z] = names[plane]
    return joined


def names_from_below(plane: Labels, below: Labels, iou: float) -> NDArray[np.int32]:
    """Return the label below of each object of `plane`, 0 where none overlaps enough; each is given once."""
    from scipy import sparse

    n, m = int(plane.max()), int(below.max())
    ones = np.ones(plane.size, np.int64)
    overlap = sparse.coo_array((ones, (plane.ravel(), below.ravel())), shape=(n + 1, m + 1)).tocsr().tocoo()
    areas, areas_below = (
        np.bincount(plane.ravel(), minlength=n + 1),
        np.bincount(below.ravel(), minlength=m + 1),
    )
    real = (overlap.row > 0) & (overlap.col > 0)
    here, there, shared = overlap.row[real], overlap.col[real], overlap.data[real]
    score = shared / (areas[here] + areas_below[there] - shared)
    names = np.zeros(n + 1, np.int32)
    taken: set[int] = set()
    for i in np.argsort(-score, kind="stable"):
        if score[i] < iou:
            break
        if names[here[i]] == 0 and int(there[i]) not in taken:
            names[here[i]] = there[i]
            taken.add(int(there[i]))
    return names
