"""What a paper reports of each cell: size and shape, intensity per channel, neighbours, nucleus against cytoplasm.

These are the columns of exported tables, each with its unit in its name and its definition in `docs/columns.md`. The
vectors that classifiers learn from (`measure`) are another matter.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.neighbours import neighbour_columns, ring_medians
from napari_biofm.images.io.masks import compact
from napari_biofm.text_columns import filled
from napari_biofm.types import CellsError, Labels, Progress, Task

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

Columns = dict[str, NDArray[Any]]
REACH = 4.0  # pixels between two borders up to which cells are neighbours
_SAME = 0.01  # relative difference of the sides of a pixel up to which it counts as a square


@dataclass(frozen=True)
class MeasuredOn:
    """What cells are measured on, and what is said of it in the table.

    Attributes
    ----------
    channels : arrays of the shape of the labels, by name.
    image : name of the image.
    pixel_size : micrometres along each axis of the labels; None where nobody knows.
    plane : which part of a stack or movie, in words; "" for all of it.
    within : labels of whole cells, where the cells measured are their nuclei.
    """

    channels: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    image: str = ""
    pixel_size: tuple[float, ...] | None = None
    plane: str = ""
    within: Labels | None = None


def distinct(names: Sequence[str]) -> list[str]:
    """Return names that differ: the second `DAPI` is `DAPI_2`."""
    out: list[str] = []
    for name in names:
        n, tried = 2, name
        while tried in out:
            tried, n = f"{name}_{n}", n + 1
        out.append(tried)
    return out


def quantities(labels: Labels, on: MeasuredOn, reach: float = REACH) -> Task[DataFrame]:
    """Measure every cell.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) integers; 0 is background.
    on : images and what is known of them.
    reach : pixels between two borders up to which cells are neighbours.

    Returns
    -------
    DataFrame
        One row per cell, ascending by `label`; columns as in `docs/columns.md`.

    Raises
    ------
    CellsError
        If a channel or `within` has another shape than the labels, or the pixel size another number of axes.
    """
    import pandas as pd

    _check(labels, on)
    ids, numbers = compact(labels)
    columns: Columns = {"label": ids[1:]}
    columns["image"] = np.full(len(ids) - 1, on.image, object)
    columns["object_id"] = np.asarray([f"{on.image}:{i}" if on.image else str(i) for i in ids[1:]], object)
    if on.plane:
        columns["measured_plane"] = np.full(len(ids) - 1, on.plane, object)
    yield Progress(0, 3, "size and shape")
    columns |= shape_columns(numbers, on.pixel_size)
    yield Progress(1, 3, "intensity")
    for name, channel in on.channels.items():
        columns |= intensity_columns(numbers, channel, name)
    yield Progress(2, 3, "neighbours")
    columns |= neighbour_columns(numbers, on.pixel_size, reach)
    if on.within is not None:
        columns |= compartment_columns(numbers, on)
    return pd.DataFrame(columns)


def _check(labels: Labels, on: MeasuredOn) -> None:
    if labels.ndim not in (2, 3):
        raise CellsError(
            f"Labels of shape {labels.shape} are no plane and no volume; give (Y, X) or (Z, Y, X)."
        )
    others = {f"The channel '{name}'": channel for name, channel in on.channels.items()}
    others |= {} if on.within is None else {"The labels of whole cells": on.within}
    for what, array in others.items():
        if array.shape != labels.shape:
            raise CellsError(
                f"{what} has shape {array.shape}, the labels {labels.shape}; they must be equal."
            )
    if on.pixel_size is not None and len(on.pixel_size) != labels.ndim:
        raise CellsError(
            f"The pixel size {on.pixel_size} needs {labels.ndim} numbers, one per axis of the labels."
        )


def with_quantities(table: AnnData, found: DataFrame) -> AnnData:
    """Return a table of cells with the columns that were measured; cells that are gone from the masks have none.

    Parameters
    ----------
    table : is written into; columns of its own stay as they are.
    found : see `quantities`.
    """
    by_label = found.set_index("label").reindex(table.obs["label"].to_numpy())
    for name in by_label.columns:
        if name not in table.obs:
            column = by_label[name]
            table.obs[name] = filled(column).to_numpy()
    images = [str(name) for name in table.uns.get("channels", ())]
    table.obs["measured_on"] = ", ".join(images) if images else "shape only"
    return table


# ------------------------------------------------------------------ size and shape


def shape_columns(numbers: NDArray[np.int32], pixel_size: Sequence[float] | None) -> Columns:
    """Return centroid, size, border, axes, eccentricity and solidity of cells numbered 1 .. n."""
    ndim = numbers.ndim
    found = _properties(numbers)
    size, axes = ("area", "yx") if ndim == 2 else ("volume", "zyx")
    columns: Columns = {f"centroid_{a}_px": found[f"centroid-{i}"] for i, a in enumerate(axes)}
    columns[f"{size}_px"] = found["area"]
    if ndim == 2:
        columns["perimeter_px"] = found["perimeter"]
    columns["major_axis_px"], columns["minor_axis_px"] = (
        found["axis_major_length"],
        found["axis_minor_length"],
    )
    if ndim == 2:
        columns["eccentricity"] = found["eccentricity"]
    columns["solidity"] = found["solidity"]
    columns["touches_edge"] = found["touches_edge"].astype(int)
    if pixel_size is not None:
        columns |= _in_micrometres(numbers, columns, np.asarray(pixel_size, float), size, axes)
    return columns


def _in_micrometres(
    numbers: NDArray[np.int32], columns: Columns, pixel_size: NDArray[np.float64], size: str, axes: str
) -> Columns:
    square = bool(np.ptp(pixel_size) <= _SAME * pixel_size.max())
    out = {f"centroid_{a}_um": columns[f"centroid_{a}_px"] * s for a, s in zip(axes, pixel_size, strict=True)}
    power = numbers.ndim
    out[f"{size}_um{power}"] = columns[f"{size}_px"] * float(np.prod(pixel_size))
    if "perimeter_px" in columns:  # counted on the grid: it has no length where pixels are no squares
        out["perimeter_um"] = columns["perimeter_px"] * (float(pixel_size.mean()) if square else np.nan)
    scaled = columns if square else None
    for axis, name in (("major_axis", "axis_major_length"), ("minor_axis", "axis_minor_length")):
        if scaled is not None:
            out[f"{axis}_um"] = scaled[f"{axis}_px"] * float(pixel_size.mean())
        else:
            out[f"{axis}_um"] = _properties(numbers, tuple(pixel_size.tolist()), (name,))[name]
    return out


_PROPERTIES = ("area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity")


def _properties(
    numbers: NDArray[np.int32], spacing: tuple[float, ...] | None = None, only: Sequence[str] = ()
) -> Columns:
    """Return what scikit-image measures; NaN where a cell is too small or too flat for it."""
    from skimage.measure import regionprops

    regions = regionprops(numbers, spacing=spacing)
    wanted = list(only) or [
        p for p in _PROPERTIES if numbers.ndim == 2 or p not in ("perimeter", "eccentricity")
    ]
    out = {name: np.full(len(regions), np.nan) for name in wanted}
    for i, region in enumerate(regions):
        for name in wanted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    out[name][i] = getattr(region, name)
                except (ValueError, RuntimeError):  # a hull of fewer points than it needs
                    continue
    if not only:
        centres = np.asarray([region.centroid for region in regions]).reshape(-1, numbers.ndim)
        out |= {f"centroid-{i}": centres[:, i] for i in range(numbers.ndim)}
        edges = [
            any(
                a == 0 or b == n
                for a, b, n in zip(r.bbox[: numbers.ndim], r.bbox[numbers.ndim :], numbers.shape, strict=True)
            )
            for r in regions
        ]
        out["touches_edge"] = np.asarray(edges, bool)
    return out


# ------------------------------------------------------------------ intensity


def intensity_columns(numbers: NDArray[np.int32], channel: NDArray[Any], name: str) -> Columns:
    """Return mean, minimum, maximum and sum of a channel, and the same above the local background.

    Values that are not finite are left out.
    """
    n = int(numbers.max(initial=0))
    flat, values = numbers.reshape(-1), np.asarray(channel, np.float64).reshape(-1)
    there = (flat > 0) & np.isfinite(values)
    of, seen = flat[there] - 1, values[there]
    count = np.bincount(of, minlength=n)
    total = np.bincount(of, seen, minlength=n)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, of, seen)
    np.maximum.at(high, of, seen)
    known = count > 0
    mean = np.divide(total, count, out=np.full(n, np.nan), where=known)
    background = ring_medians(numbers, np.asarray(channel, np.float64))
    return {
        f"{name}_mean": mean,
        f"{name}_min": np.where(known, low, np.nan),
        f"{name}_max": np.where(known, high, np.nan),
        f"{name}_integrated": np.where(known, total, np.nan),
        f"{name}_background": background,
        f"{name}_mean_corrected": mean - background,
        f"{name}_integrated_corrected": np.where(known, total, np.nan) - background * count,
    }


# ------------------------------------------------------------------ nucleus and cytoplasm


def compartment_columns(numbers: NDArray[np.int32], on: MeasuredOn) -> Columns:
    """Return the cell each nucleus lies in, and its measures against those of the cytoplasm around it.

    A nucleus belongs to the cell that holds most of its pixels; the cytoplasm of a cell is what no nucleus covers.
    """
    cells, hosts = compact(np.asarray(on.within))
    n, m = int(numbers.max(initial=0)), len(cells)
    inside = (numbers > 0) & (hosts > 0)
    pairs, counts = np.unique(numbers[inside].astype(np.int64) * m + hosts[inside], return_counts=True)
    host = np.zeros(n, np.int64)
    order = np.argsort(
        counts, kind="stable"
    )  # of equal indices the last assignment holds: the largest overlap
    host[pairs[order] // m - 1] = pairs[order] % m
    cytoplasm = np.where(numbers == 0, hosts, 0)
    area = np.bincount(cytoplasm.reshape(-1), minlength=m).astype(float)
    own = np.bincount(numbers.reshape(-1), minlength=n + 1)[1:]
    held = host > 0
    size = "area" if numbers.ndim == 2 else "volume"
    columns: Columns = {"in_cell": cells[host]}
    columns[f"cytoplasm_{size}_px"] = np.where(held, area[host], np.nan)
    columns[f"nc_{size}_ratio"] = np.where(held, own / np.where(area[host] > 0, area[host], np.nan), np.nan)
    for name, channel in on.channels.items():
        finite = np.isfinite(channel)
        where, values = (
            np.where(finite, cytoplasm, 0).reshape(-1),
            np.nan_to_num(np.asarray(channel, np.float64)).reshape(-1),
        )
        mean = np.bincount(where, values, minlength=m) / np.maximum(np.bincount(where, minlength=m), 1)
        mean[np.bincount(where, minlength=m) == 0] = np.nan
        around = np.where(held, mean[host], np.nan)
        nuclear = intensity_means(numbers, channel)
        columns[f"{name}_cytoplasm_mean"] = around
        columns[f"{name}_nc_ratio"] = np.divide(
            nuclear, around, out=np.full(n, np.nan), where=np.nan_to_num(around) != 0
        )
    return columns


def intensity_means(numbers: NDArray[np.int32], channel: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of a channel in each of the cells numbered 1 .. n, values that are not finite left out."""
    n = int(numbers.max(initial=0))
    finite = np.isfinite(channel)
    where = np.where(finite, numbers, 0).reshape(-1)
    values = np.where(finite, channel, 0).astype(np.float64).reshape(-1)
    count = np.bincount(where, minlength=n + 1)[1:]
    total = np.bincount(where, values, minlength=n + 1)[1:]
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
