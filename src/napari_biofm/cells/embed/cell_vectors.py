"""From an image, its masks and a model to a table of cells: the jobs behind `embed` and the docks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.embed.crops import crop_margin, crop_side
from napari_biofm.cells.embed.embeddings import (
    compute_embeddings,
    crop_embedding,
    crop_encoder,
    map_provenance,
    vectors_of_cells,
)
from napari_biofm.cells.embed.encoders import CROPS, MAP, provenance_of
from napari_biofm.cells.table.cell_table import Groups, make_table
from napari_biofm.cells.table.update import (
    MARGIN,
    CellRows,
    Cutout,
    Measured,
    boxes_of,
    cut_out,
    measure_cells,
)
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, make_embedder
from napari_biofm.types import FeatureMap, Image, Labels, Progress, Task, Vectors

if TYPE_CHECKING:
    from anndata import AnnData

EVERYTHING = 1 << 40  # pixels of a margin that holds any image


def cell_table(
    image: Image,
    masks: Labels,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    *,
    features: FeatureMap | None = None,
    layer: str = "",
    groups: Groups | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Task[AnnData]:
    """Make the table of the cells in one image.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C).
    masks : (Y, X) int32 labels.
    model : encoder, see `images.segment.catalogue.make_embedder`.
    device : where it runs.
    features : map of an earlier pass over the same image by the same model; None runs the encoder.
    layer : unique id of the labels layer, part of each cell's id.
    groups : image, plate or well of the cells, see `make_table`.
    provenance : of the masks, kept in `uns`.
    """
    encoder = make_embedder(model, device)
    if features is None:
        features = yield from encoder.embed(image)
    yield Progress(1, 2, "vectors")
    vectors = vectors_of_cells(encoder, features, masks)
    source = {**map_provenance(encoder), "encoder": encoder.name, **(provenance or {})}
    return make_table(
        masks,
        image=image,
        vectors=vectors,
        vector_source=encoder.name,
        layer=layer,
        provenance=source,
        groups=groups,
    )


@dataclass(frozen=True)
class NewTable:
    """A table of cells with what later edits need to be measured at the cost of the edit.

    Attributes
    ----------
    table : of all cells. features : map their vectors were pooled from, if any.
    """

    table: AnnData
    features: FeatureMap | None


def measure_layer(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    layer: str,
    group: str,
    model: str = DEFAULT_MODEL,
    features: FeatureMap | None = None,
    encoded: int | None = None,
) -> Task[NewTable]:
    """Make the table of a Labels layer: measures, and the vectors of `model` where it can give them.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X).
    image : of the same shape; None leaves shape alone to be measured.
    layer, group : unique id of the layer, and the image, plate or well it belongs to.
    model : encoder of the vectors.
    features : map of the pass that made the masks, so that nothing is encoded twice.
    encoded : channels that the encoder sees, see `seen_by_encoder`; all are measured.
    """
    masks = np.asarray(labels)
    yield Progress(0, 2, "measuring cells ...")
    if image is None or masks.ndim != 2 or not masks.any():
        return NewTable(make_table(masks, image=image, layer=layer, groups=group), None)
    if features is None or features.shape != masks.shape:
        features = yield from make_embedder(model).embed(seen_by_encoder(image, encoded))
    table = yield from cell_table(image, masks, model, features=features, layer=layer, groups=group)
    return NewTable(table, features)


@dataclass(frozen=True)
class Wanted:
    """Which vectors the changed cells of a table need, beside their measures.

    Attributes
    ----------
    layer : unique id of the labels layer. ndim : axes of its cells.
    blocks : provenance of the embeddings of the table, by name.
    model : of the pass that made the masks.
    areas : of the other cells of the table, pixels; the field of view of crops depends on them.
    encoded : channels that encoders see, see `seen_by_encoder`.
    """

    layer: str
    ndim: int
    blocks: Mapping[str, Mapping[str, Any]]
    model: str
    areas: NDArray[np.float64]
    encoded: int | None = None

    @property
    def margin(self) -> int:
        """Pixels around a cell that its row depends on."""
        if not self.crops:
            return MARGIN
        return max(MARGIN, crop_margin(2 * crop_side(self.areas))) if len(self.areas) else EVERYTHING

    @property
    def crops(self) -> dict[str, Mapping[str, Any]]:
        """Embeddings made of the cells one by one."""
        return {name: source for name, source in self.blocks.items() if source.get("recipe") == CROPS}

    @property
    def has_map(self) -> bool:
        """Whether there are vectors pooled from a feature map."""
        return any(source.get("recipe") == MAP for source in self.blocks.values())


def seen_by_encoder(image: NDArray[Any], encoded: int | None) -> NDArray[Any]:
    """Return the channels of the first of several images, which encoders see; the others are only measured.

    Parameters
    ----------
    image : (Y, X), or channels last. encoded : how many of them; 0 for a flat first image, None for all.
    """
    return image if encoded is None else image[..., 0] if encoded == 0 else image[..., :encoded]


def measure_cutouts(
    cutouts: Sequence[Cutout],
    touched: Sequence[int],
    wanted: Wanted,
    features: Sequence[FeatureMap] | None = None,
) -> Task[CellRows]:
    """Measure the cells an edit touched and compute their vectors; `replace_cells` puts them into the table.

    Parameters
    ----------
    cutouts : the pixels around them. touched : label values, also of cells that are gone.
    wanted : see `Wanted`.
    features : for each cut-out the map of the pass, cut in the same way; None leaves its vectors out.
    """
    yield Progress(0, 2, f"measuring {len(touched)} changed cells")
    rows = measure_cells(cutouts, touched, wanted.layer, wanted.ndim)
    if wanted.ndim != 2 or not len(rows.obs) or any(cutout.image is None for cutout in cutouts):
        return rows
    parts: list[dict[str, Vectors]] = []
    encoder = make_embedder(wanted.model) if features is not None and wanted.has_map else None
    side = crop_side(np.concatenate([wanted.areas, rows.obs["area"].to_numpy(float)]))
    for i, cutout in enumerate(cutouts):
        part: dict[str, Vectors] = {}
        if features is not None and encoder is not None and encoder.name in wanted.blocks:
            part[encoder.name] = vectors_of_cells(encoder, features[i], cutout.labels)
        for name, source in wanted.crops.items():
            crops = crop_encoder(str(source["name"]))
            if cutout.image is not None and provenance_of(crops)["weights_sha256"] == source.get(
                "weights_sha256"
            ):
                views = int(source["views"])
                seen = seen_by_encoder(cutout.image, wanted.encoded)
                part[name] = yield from crop_embedding(seen, cutout.labels, crops, views, side)
        parts.append(part)
    values = np.concatenate([np.unique(c.labels[c.labels > 0]) for c in cutouts])
    order = np.argsort(values, kind="stable")
    for name in set.intersection(*(set(part) for part in parts)):
        rows.embeddings[name] = np.concatenate([part[name] for part in parts])[order]
    return rows


def measure_again(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    touched: Sequence[int] | None,
    wanted: Wanted,
    said: Measured,
    features: FeatureMap | None = None,
) -> Task[tuple[CellRows, FeatureMap | None]]:
    """Measure changed cells with the whole image at hand.

    For masks that were replaced without an account of what changed (`touched` is None: all cells are measured,
    and those that differ from the table count), and where the map of the pass is not at hand.

    Returns
    -------
    The rows, and the map, so that the next edit need not make it again.
    """
    masks = np.asarray(labels)
    if touched is None:
        yield Progress(0, 2, "comparing masks ...")
        values = np.unique(masks)
        every = [Cutout(masks, image, (0,) * masks.ndim)]
        touched = said.differing(measure_cells(every, values[values > 0], wanted.layer, masks.ndim)).tolist()
    cutouts = cut_out(masks, image, boxes_of(masks, np.asarray(touched, np.int64)), wanted.margin)
    maps = None
    if image is not None and masks.ndim == 2 and wanted.has_map:
        if features is None or features.shape != masks.shape:
            features = yield from make_embedder(wanted.model).embed(seen_by_encoder(image, wanted.encoded))
        maps = [features.cut(cutout.origin, cutout.stop) for cutout in cutouts]
    rows = yield from measure_cutouts(cutouts, touched, wanted, maps)
    return rows, features


# ------------------------------------------------------------------ more vectors of cells that have a table

Computed = dict[str, tuple[Vectors, dict[str, Any]]]


def head_embeddings(
    image: NDArray[Any],
    labels: NDArray[Any],
    wanted: Mapping[str, Mapping[str, Any]],
    features: FeatureMap | None = None,
) -> Task[Computed]:
    """Compute the vectors a saved classifier takes, for the cells in view."""
    return (yield from compute_embeddings(wanted, image, labels, features=features))


def crop_vectors(image: NDArray[Any], labels: NDArray[Any], model: str = DEFAULT_MODEL) -> Task[Computed]:
    """Compute the vectors of every cell seen on its own, as the command line does, and name their embedding."""
    source = {"name": model, "recipe": CROPS}
    return (yield from compute_embeddings({f"{model} {CROPS}": source}, image, labels))


def map_vectors(image: NDArray[Any], labels: NDArray[Any], model: str) -> Task[Computed]:
    """Run an encoder over the whole image, and pool its map under every mask."""
    source = {"name": model, "recipe": MAP}
    return (yield from compute_embeddings({model: source}, image, labels))
