"""From an image, its masks and a model to a table of cells: the job behind `embed` and the docks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.embed.embeddings import crop_embedding, crop_encoder, map_provenance, vectors_of_cells
from napari_biofm.cells.embed.encoders import CROPS, provenance_of
from napari_biofm.cells.table.cell_table import Groups, make_table, update_table
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, make_embedder
from napari_biofm.types import FeatureMap, Image, Labels, Progress, Task, Vectors

if TYPE_CHECKING:
    from anndata import AnnData


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
    vectors = vectors_of_cells(encoder, features, np.asarray(masks, np.int32))
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


def update_cell_table(
    table: AnnData,
    image: Image | None,
    masks: Labels,
    changed: Sequence[int],
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    *,
    features: FeatureMap | None = None,
) -> Task[AnnData]:
    """Bring a table of `cell_table` up to date after an edit; only the cells in `changed` are pooled again.

    Parameters
    ----------
    table, changed : see `update_table`.
    features : map of an earlier pass; None runs the encoder again where the table has vectors of it.
    """
    values = np.unique(masks)
    now = values[np.isin(values, np.asarray(list(changed), np.int64)) & (values > 0)]
    vectors: dict[str, Vectors] = {}
    if image is not None and masks.ndim == 2 and len(table.obsm) > 1 and len(now):
        vectors = yield from _changed_vectors(table, image, masks, now, model, device, features)
    yield Progress(1, 2, f"measuring {len(now)} changed cells")
    return update_table(table, masks, changed, image=image, vectors=vectors)


def _changed_vectors(
    table: AnnData,
    image: Image,
    masks: Labels,
    now: NDArray[np.integer],
    model: str,
    device: str,
    features: FeatureMap | None,
) -> Task[dict[str, Vectors]]:
    """Compute again, for the changed cells, every embedding whose encoder is at hand."""
    vectors: dict[str, Vectors] = {}
    for name, source in table.uns["blocks"].items():
        if source.get("recipe") == CROPS:
            encoder = crop_encoder(str(source["name"]), device)
            if provenance_of(encoder)["weights_sha256"] == source.get("weights_sha256"):
                vectors[name] = yield from crop_embedding(image, masks, encoder, int(source["views"]), now)
    whole = make_embedder(model, device)
    if whole.name in table.obsm:
        if features is None or features.shape != masks.shape:
            features = yield from whole.embed(image)
        only = np.where(np.isin(masks, now), masks, 0).astype(np.int32)
        vectors[whole.name] = vectors_of_cells(whole, features, only)
    return vectors
