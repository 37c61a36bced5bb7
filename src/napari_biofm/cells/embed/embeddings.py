"""Embeddings by their recipe: what a head was trained on is computed again for other cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from napari_biofm.cells.embed.crops import cut_crops
from napari_biofm.cells.embed.encoders import (
    CROPS,
    MAP,
    MASKS,
    RANDOM,
    HandcraftedEncoder,
    encode_crops,
    provenance_of,
)
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.cells.table.cell_table import BASELINE
from napari_biofm.cells.table.measure import regionprops_vectors
from napari_biofm.images.io.masks import numbered
from napari_biofm.images.protocols import CropEncoder, pools_cells
from napari_biofm.images.segment.catalogue import make_crop_encoder, make_embedder
from napari_biofm.images.segment.pooling import pool
from napari_biofm.types import CellsError, Embedder, FeatureMap, Image, Labels, Model, Task, Vectors

VIEWS = 4  # turned copies an encoder sees of each crop


def crop_encoder(name: str, device: str = "auto") -> CropEncoder:
    """Return what gives the vectors of crops: a baseline, or a model that takes single cells.

    Raises
    ------
    ModelError
        If there is no such model, or it looks at whole images only; names those that do not.
    """
    if name == BASELINE:
        return HandcraftedEncoder()
    if name == RANDOM:
        return RandomConvEncoder()
    return make_crop_encoder(name, device)


def views_of(name: str, views: int) -> int:
    """Return how many turned copies are averaged: measures of shape need none, and the untrained network,
    which stands beside for comparison, would cost more than all else.
    """
    return 1 if name in (BASELINE, RANDOM) else views


def crop_embedding(
    image: Image,
    masks: Labels,
    encoder: CropEncoder,
    views: int = VIEWS,
    side: int | None = None,
) -> Task[Vectors]:
    """Compute the vectors of each cell seen on its own, (n, d), as the command line does.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C). masks : (Y, X).
    side : of the field of view, pixels, where `masks` are cut out; see `crops.crop_side`.
    """
    if masks.ndim != 2:
        raise CellsError(f"Cells are cut out of planes; these masks have shape {masks.shape}.")
    found: Vectors = yield from encode_crops(encoder, cut_crops(image, numbered(masks), side=side), views)
    return found


def vectors_of_cells(model: Model, features: FeatureMap, masks: Labels) -> Vectors:
    """Return one vector per label, by the model's own recipe where it has one.

    Parameters
    ----------
    model : an embedder; its own recipe is used if it has one, else all pools.
    features : feature map of the image.
    masks : (Y, X) integers.
    """
    numbers = numbered(masks)
    if pools_cells(model):
        return model.vectors(features, numbers)
    return pool(features, numbers).vectors


def map_provenance(encoder: Model) -> dict[str, Any]:
    """Return what tells vectors pooled from an encoder's map apart from others."""
    return {"name": encoder.name, "weights_sha256": encoder.weights_sha256, "recipe": MAP}


def compute_embeddings(
    wanted: Mapping[str, Mapping[str, Any]],
    image: Image,
    masks: Labels,
    device: str = "auto",
    *,
    features: FeatureMap | None = None,
    encoders: Mapping[str, CropEncoder] | None = None,
) -> Task[dict[str, tuple[Vectors, dict[str, Any]]]]:
    """Compute embeddings by their provenance for the cells of one image.

    Parameters
    ----------
    wanted : provenance by name of the embedding, as a saved head holds it.
    image, masks : of the same plane; rows come in ascending order of label.
    features : map of an earlier pass by the same model, so that nothing is encoded twice.
    encoders : models at hand by name; others are made.

    Returns
    -------
    vectors and what they really are, by name; it is for the caller to compare weights.

    Raises
    ------
    CellsError
        If an embedding has no recipe that starts from image and masks (e.g. features of traces).
    """
    found: dict[str, tuple[Vectors, dict[str, Any]]] = {}
    at_hand = dict(encoders or {})
    for embedding, provenance in wanted.items():
        name, recipe = str(provenance.get("name", embedding)), str(provenance.get("recipe", ""))
        if recipe == MASKS:
            found[embedding] = regionprops_vectors(image, masks), {"name": BASELINE, "recipe": MASKS}
        elif recipe == CROPS:
            encoder = at_hand.get(name) or crop_encoder(name, device)
            views = int(provenance.get("views", views_of(name, VIEWS)))
            vectors = yield from crop_embedding(image, masks, encoder, views)
            found[embedding] = vectors, provenance_of(encoder, views)
        elif recipe == MAP:
            # encoders of maps are never measures, so one at hand under this name is a model of whole images, too
            whole = cast(Embedder, at_hand[name]) if name in at_hand else make_embedder(name, device)
            usable = features if features is not None and features.model == whole.name else None
            seen = usable if usable is not None else (yield from whole.embed(image))
            found[embedding] = vectors_of_cells(whole, seen, masks), map_provenance(whole)
        else:
            raise CellsError(
                f"The head needs '{embedding}', which is not computed from image and masks; open the cells in the "
                "session that has them, or train a head on vectors of the image."
            )
    return found
