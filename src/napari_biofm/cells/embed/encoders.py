"""What a head needs from an encoder, and the vectors of crops: views averaged, embeddings side by side.

One encoder can look at a cell in two ways, and the vectors do not mix: on its own, in a crop (`CROPS`), or
pooled under its mask from a map of the whole image (`MAP`). Measures are taken on crops or on masks
(`MASKS`). The recipe is part of a block's provenance, so that no head takes the one for the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm import __version__
from napari_biofm.cells.embed.crops import crop_vectors_by_hand
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.cells.table.cell_table import BASELINE
from napari_biofm.images.protocols import CropEncoder
from napari_biofm.images.tiling.pass_store import PassStore, content_hash
from napari_biofm.types import CellsError, ImageError, Progress, Task, Vectors

CHUNK = 256
KEPT = 200  # crops from which the vectors of a network are kept in the cache
CROPS, MAP, MASKS = "crops", "map", "masks"
RANDOM = RandomConvEncoder.name


class HandcraftedEncoder:
    """The measured vectors, as an encoder."""

    name = BASELINE
    weights_sha256 = ""
    crop_parts: tuple[int, ...] = ()

    def crop_vectors(self, crops: NDArray[Any]) -> Vectors:
        """Return the handcrafted measures of the crops."""
        return crop_vectors_by_hand(crops)


def encode_crops(encoder: CropEncoder, crops: NDArray[Any], views: int = 1) -> Task[Vectors]:
    """Compute vectors in chunks, averaged over `views` turned and mirrored copies of each crop.

    Cells have no preferred direction: the mean over views is nearly the same however a cell lies.

    Parameters
    ----------
    views : 1, 2 (a half turn), 4 (quarter turns) or 8 (also mirrored).

    Raises
    ------
    CellsError
        If the encoder gives something else than one finite-width row per crop.
    """
    if views not in (1, 2, 4, 8):
        raise CellsError(f"views must be 1, 2, 4 or 8, not {views}.")
    parts = []
    for start in range(0, len(crops), CHUNK):
        part = crops[start : start + CHUNK]
        total: NDArray[np.float32] | None = None
        for turned in _turned(part, views):
            found = np.asarray(encoder.crop_vectors(turned), np.float32)
            if found.ndim != 2 or len(found) != len(part):
                raise CellsError(f"Encoder '{encoder.name}' gave {found.shape} for {len(part)} crops.")
            total = found if total is None else total + found
        assert total is not None
        parts.append(total / views)
        yield Progress(
            min(start + CHUNK, len(crops)), len(crops), f"{encoder.name}: {start + len(part)} cells"
        )
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def kept_vectors(encoder: CropEncoder, crops: NDArray[Any], views: int = 1) -> Task[Vectors]:
    """Compute vectors as `encode_crops` does, and keep those of a network in the cache of passes.

    The same crops are then encoded in a moment: when labels were corrected, or another head is tried.

    Parameters
    ----------
    encoder, crops, views : as for `encode_crops`.
    """
    if len(crops) < KEPT or not encoder.weights_sha256:
        return (yield from encode_crops(encoder, crops, views))
    about = {**provenance_of(encoder, views), "version": __version__, "what": "vectors of crops"}
    try:
        kept = PassStore().open(content_hash(crops, encoder.weights_sha256, about), 1, about)
        if 0 in kept:
            found = kept.get(0)["vectors"]
            yield Progress(len(crops), len(crops), f"{encoder.name}: {len(crops)} cells from the cache")
            return np.asarray(found, np.float32)
    except (ImageError, OSError, KeyError, ValueError):  # no place for a cache, or a damaged one
        return (yield from encode_crops(encoder, crops, views))
    vectors = yield from encode_crops(encoder, crops, views)
    with contextlib.suppress(OSError, ValueError):
        kept.put(0, {"vectors": vectors})
    return vectors


def provenance_of(encoder: CropEncoder, views: int = 1) -> dict[str, Any]:
    """Return what tells the vectors of crops apart from others."""
    parts = encoder.crop_parts
    return {
        "name": encoder.name,
        "weights_sha256": encoder.weights_sha256,
        "recipe": CROPS,
        "views": views,
        **({"parts": [int(width) for width in parts]} if parts else {}),
    }


def _turned(crops: NDArray[Any], views: int) -> Sequence[NDArray[Any]]:
    square = crops.shape[1] == crops.shape[2]
    turns = {1: (0,), 2: (0, 2), 4: (0, 1, 2, 3), 8: (0, 1, 2, 3)}[views]
    if not square:
        turns = tuple(t if t % 2 == 0 else 2 for t in turns)
    turned = [np.ascontiguousarray(np.rot90(crops, t, (1, 2))) for t in turns]
    return turned + ([np.ascontiguousarray(v[:, ::-1]) for v in turned] if views == 8 else [])
