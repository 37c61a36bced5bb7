"""The pixels that cells are measured on, as whoever has the layers hands them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.index import Box

if TYPE_CHECKING:
    from anndata import AnnData

Plane = tuple[int, ...]  # index along the leading axes; () where all axes are the cells'


class CellPixels(Protocol):
    """Layers of masks and images."""

    def labels(self, uid: str) -> Any | None:
        """Return the labels of a layer in full resolution, an array-like with all axes; None where it is gone."""
        ...

    def name(self, uid: str) -> str:
        """Return the name of a layer."""
        ...

    def plane_in_view(self, uid: str) -> Plane:
        """Return which plane of a layer of labels is shown."""
        ...

    def is_movie(self, uid: str) -> bool:
        """Tell whether the first axis of a layer is known to be time: its frames are measured one by one."""
        ...

    def pixel_size(self, uid: str, n_axes: int) -> tuple[float, ...] | None:
        """Return micrometres along the last axes of a layer, None where its units are no lengths."""
        ...

    def images(self, uid: str, plane: Plane) -> dict[str, Region]:
        """Return what a plane of labels can be measured on, by id of the image layer, the topmost first."""
        ...


class Region:
    """One plane of an array-like with leading axes, or all of it; only what is asked for is read.

    Parameters
    ----------
    data : array-like. plane : index along its leading axes.
    """

    def __init__(self, data: Any, plane: Plane = ()) -> None:
        self._data, self._plane = data, plane

    @property
    def plane(self) -> Plane:
        """Index along the leading axes of the array; () where all of it is meant."""
        return self._plane

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self._data.shape[len(self._plane) :])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]:
        return np.asarray(self._data[(*self._plane, *region)])

    def whole(self) -> NDArray[Any]:
        """Return all of the plane."""
        return self[tuple(slice(None) for _ in self.shape)]


@dataclass(frozen=True)
class ImagesInUse:
    """The images that cells are measured on, as one array-like with the channels of all of them last.

    Attributes
    ----------
    parts : one region per image layer, of one spatial shape.
    ids, names : of the image layers.
    n_spatial : axes that are no channels.
    """

    parts: tuple[Region, ...]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    n_spatial: int

    @property
    def shape(self) -> tuple[int, ...]:
        spatial = self.parts[0].shape[: self.n_spatial]
        return self.parts[0].shape if len(self.parts) == 1 else (*spatial, len(self.channels))

    @property
    def encoded(self) -> int | None:
        """Channels that an encoder sees, those of the first image; 0 for a flat one, None where that is all."""
        if len(self.parts) == 1:
            return None
        first = self.parts[0].shape
        return first[-1] if len(first) > self.n_spatial else 0

    @property
    def channels(self) -> tuple[str, ...]:
        """Name of every channel; colours are called by their names."""
        out: list[str] = []
        for name, part in zip(self.names, self.parts, strict=True):
            n = part.shape[-1] if part.ndim > self.n_spatial else 0
            colours = ("red", "green", "blue") if n == 3 else tuple(f"ch{i}" for i in range(n))
            out += [f"{name}_{colour}" for colour in colours] if n else [name]
        return tuple(out)

    def __getitem__(self, region: tuple[slice, ...]) -> NDArray[Any]:
        read = [part[region] for part in self.parts]
        if len(read) == 1:
            return read[0]
        return np.concatenate([p if p.ndim > self.n_spatial else p[..., None] for p in read], -1)

    def whole(self) -> NDArray[Any]:
        """Return all of it."""
        return self[tuple(slice(None) for _ in range(self.n_spatial))]


def plane_of_table(table: AnnData) -> Plane | None:
    """Return which plane of its layer a table was measured on, None where it does not say (version 0.1)."""
    said = table.uns.get("plane")
    return None if said is None else tuple(int(part) for part in str(said).split(",") if part)


def write_plane(table: AnnData, plane: Plane) -> None:
    """Keep in a table which plane of its layer it was measured on."""
    table.uns["plane"] = ",".join(map(str, plane))


def in_plane(box: Box, plane: Plane) -> Box | None:
    """Return the part of a box of all axes that lies in a plane, None where there is none."""
    n = len(plane)
    if any(not a <= i < b for i, a, b in zip(plane, box[0], box[1], strict=False)):
        return None
    return box[0][n:], box[1][n:]
