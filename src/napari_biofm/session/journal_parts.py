"""The parts of a journal that are no edits: what a session was at one moment, as JSON and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.actions.clocks import clock_to_json
from napari_biofm.actions.links import link_to_json
from napari_biofm.images.edit.labels_edit import Region
from napari_biofm.session.session import Session
from napari_biofm.session.snapshot import SavedLayer
from napari_biofm.types import Progress, SessionError, Task

SLAB = 1 << 23  # pixels written at a time


class MasksSource(Protocol):
    """Labels that can be read a part at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels."""
        ...

    def read(self, region: Region) -> NDArray[Any]:
        """Return a copy of the labels in `region`; SessionError where the layer is gone."""
        ...


class LayersSource(Protocol):
    """The layers of a viewer, as far as a journal must know them."""

    def described(self) -> list[SavedLayer]:
        """Return images and labels without their pixels."""
        ...

    def masks(self, uid: str) -> MasksSource | None:
        """Return the pixels of a labels layer, None where it is gone."""
        ...


def write_masks(source: MasksSource, path: Path) -> Task[None]:
    """Write labels as a Zarr array, slab by slab; empty slabs are left out."""
    import zarr

    shape = source.shape
    row = max(1, int(np.prod(shape[1:], dtype=np.int64)))
    step = max(1, SLAB // row)
    empty = source.read(tuple(slice(0, 0) for _ in shape))
    chunks = tuple(
        max(1, min(n, c)) for n, c in zip(shape, (1,) * (len(shape) - 2) + (1024, 1024), strict=True)
    )
    array = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype=empty.dtype, overwrite=True)
    if len(shape) == 2 and step < shape[0]:
        step = max(1024, step // 1024 * 1024)  # whole chunks: none is written twice
    for begin in range(0, shape[0], step):
        yield Progress(begin, shape[0], "saving labels")
        region = (slice(begin, min(shape[0], begin + step)), *(slice(0, n) for n in shape[1:]))
        slab = source.read(region)
        if slab.any():
            array[region] = slab


def read_masks(path: Path) -> NDArray[Any]:
    """Read what `write_masks` wrote; SessionError where it is damaged or holds no integers."""
    import zarr

    try:
        labels = np.asarray(zarr.open_array(str(path), mode="r")[:])
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SessionError(f"{path}: the snapshot cannot be read ({error}).") from error
    if labels.dtype.kind not in "iu":
        raise SessionError(f"{path}: the snapshot holds {labels.dtype}, not integers.")
    return labels


def layer_to_json(layer: SavedLayer) -> dict[str, Any]:
    """Return a layer without its pixels, JSON-able."""
    return {
        "uid": layer.uid,
        "kind": layer.kind,
        "name": layer.name,
        "path": layer.path,
        "placing": dict(layer.placing),
        "metadata": dict(layer.metadata),
        "shape": list(layer.shape),
    }


def leaves(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the single edits of a record, in their order: those of a group, or the record itself."""
    parts = record.get("actions") if record.get("kind") == "group" else None
    if isinstance(parts, list):
        for part in parts:
            yield from leaves(part)
    else:
        yield record


def layers_named(record: Mapping[str, Any]) -> set[str]:
    """Return the ids of the labels layers whose cells an edit is about."""
    named: set[str] = set()
    for leaf in leaves(record):
        if "layer" in leaf:
            named.add(str(leaf["layer"]))
        for row in (
            (*leaf.get("added", ()), *leaf.get("removed", ())) if leaf.get("kind") == "edit links" else ()
        ):
            named.add(str(row[2]))
    return named


def masks_edited(record: Mapping[str, Any]) -> set[str]:
    """Return the ids of the labels layers whose masks an edit changes."""
    return {str(leaf["layer"]) for leaf in leaves(record) if "patches" in leaf}


def small_state(session: Session) -> dict[str, Any]:
    """Return what a session holds beside layers and recordings, as JSON; a selection of 1000 cells or more is left out."""
    selection = session.selection
    return {
        "links": [link_to_json(link) for link in sorted(session.links)],
        "clocks": {uid: clock_to_json(clock) for uid, clock in session.clocks.items()},
        "detector": session.detector,
        "selection": [[key.layer, key.label] for key in selection] if len(selection) < 1000 else [],
        "time_s": session.time_s,
        "image": session.image,
        "labels": session.labels,
    }
