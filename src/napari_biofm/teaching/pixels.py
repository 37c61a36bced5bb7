"""The pixels that cells are measured on, as whoever has the layers hands them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

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


def plane_of_table(table: AnnData) -> Plane | None:
    """Return which plane of its layer a table was measured on, None where it does not say (version 0.1)."""
    said = table.uns.get("plane")
    return None if said is None else tuple(int(part) for part in str(said).split(",") if part)


def write_plane(table: AnnData, plane: Plane) -> None:
    """Keep in a table which plane of its layer it was measured on."""
    table.uns["plane"] = ",".join(map(str, plane))
