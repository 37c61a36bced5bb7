"""Steps on images and their cells; they call the functions that docks and command line call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_biofm.batch.jobs import Bench
from napari_biofm.types import ImageError, SegmentationParameters, run_task

Parameters = Mapping[str, Any]


def segment(bench: Bench, given: Parameters) -> None:
    """Find the cells, unless masks were given for this image."""
    if bench.masks is not None:
        return
    from napari_biofm.api.images import chosen_channels, segment_opened
    from napari_biofm.images.tiling.large_images import LargeResult

    channels = chosen_channels(given["channel"], given["second_channel"])
    image, is_stack = bench.image, bench.is_stack
    names: Sequence[str] | None = bench.channels
    if channels is not None:
        image, names = with_channels(bench, channels), None
    if given["projection"] is not None:
        image, is_stack = _projected(bench, image, given["projection"]), False
    parameters = SegmentationParameters(
        given["diameter"],
        given["flow_threshold"],
        given["cellprob_threshold"],
        given["min_size"],
        given["relative_size"],
        given["least_contrast"],
        given["normalise"],
    )
    found = segment_opened(
        image, is_stack, parameters, channels=names, model=given["model"], device=given["device"]
    )
    bench.masks = found.labels() if isinstance(found, LargeResult) else found.masks
    provenance = dict(found.provenance)
    bench.facts |= {
        "model": provenance.get("model", given["model"]),
        "weights_sha256": provenance.get("weights_sha256"),
        "diameter_px": found.diameter,
    }


def with_channels(bench: Bench, channels: Sequence[int | str]) -> Any:
    """Return some channels of an item's image, in this order; one alone has no axis of channels.

    Parameters
    ----------
    bench : of the item.
    channels : by position from 0 or by name.
    """
    from napari_biofm.images.io.lazy import LazyImage
    from napari_biofm.images.io.sources import position_of

    at = [position_of(one, bench.channels, bench.job.item.path.name) for one in channels]
    if len(set(at)) < len(at):
        raise ImageError(f"{bench.job.item.path}: channel {channels[0]} was asked for twice; choose two.")
    if bench.image.ndim == 2 + bench.is_stack:
        return bench.image
    if isinstance(bench.image, LazyImage):
        return bench.image.with_channels(at)
    return bench.image[..., at[0]] if len(at) == 1 else np.take(bench.image, at, axis=-1)


def _projected(bench: Bench, image: Any, what: int | str) -> Any:
    """Return one picture of a movie or stack: the plane of a number, the mean, or the variation."""
    from napari_biofm.api.images import picture_of

    return picture_of(image, bench.is_stack, what, str(bench.job.item.path))


def measure(bench: Bench, given: Parameters) -> None:
    """Add the measurements of every cell."""
    from napari_biofm.api.measuring import channels_of_images, measure_cells, pixel_size_of
    from napari_biofm.cells.table.quantities import MeasuredOn
    from napari_biofm.images.io.lazy import OpenedImage
    from napari_biofm.images.io.names import stem_of

    path, masks = bench.job.item.path, np.asarray(bench.masks)
    pixels, is_stack = bench.image, bench.is_stack
    if given["plane"] is not None:
        pixels, is_stack = _projected(bench, pixels, given["plane"]), False
    names = given["channels"]
    channels = {}
    if masks.shape == tuple(pixels.shape[: 2 + is_stack]):
        channels = channels_of_images(OpenedImage(pixels, is_stack, bench.channels), masks.shape, names)
    size = pixel_size_of(path, masks.ndim, given["pixel_size_um"])
    words = "" if given["plane"] is None else f"plane {given['plane']}"
    on = MeasuredOn(channels, stem_of(path), size, words, None)
    _add(bench, measure_cells(masks, on, given["frames"], given["neighbour_distance"]))


def embed(bench: Bench, given: Parameters) -> None:
    """Add one vector per cell."""
    from napari_biofm.api.cells import embed as embed_cells

    found = embed_cells(
        _plane(bench, given), np.asarray(bench.masks), model=given["model"], device=given["device"]
    )
    import pandas as pd

    vectors = np.asarray(found.X, np.float32)
    _add(bench, pd.DataFrame({"label": found.obs["label"].to_numpy(np.int64), "vector": list(vectors)}))


def classify(bench: Bench, given: Parameters) -> None:
    """Add the class and probability of every cell."""
    import pandas as pd

    from napari_biofm.cells.classify.heads import decide
    from napari_biofm.cells.classify.persist import load_head
    from napari_biofm.cells.embed.embeddings import compute_embeddings

    saved = load_head(bench.path(given["head"]))
    labels = np.unique(np.asarray(bench.masks))
    labels = labels[labels > 0].astype(np.int64)
    if not len(labels):
        _add(bench, pd.DataFrame({"label": labels, "class": [], "probability": []}))
        return
    task = compute_embeddings(saved.encoders, _plane(bench, given), np.asarray(bench.masks), given["device"])
    computed = run_task(task)
    names = saved.match({name: source for name, (_, source) in computed.items()})
    vectors = np.concatenate([computed[name][0] for name in names], 1)
    head = saved.classifier
    probabilities = np.asarray(head.predict_proba(vectors), np.float32)
    classes = decide(probabilities, tuple(head.classes), given["min_probability"])
    table = {"label": labels, "class": list(classes), "probability": probabilities.max(axis=1)}
    _add(bench, pd.DataFrame(table))


def _plane(bench: Bench, given: Parameters) -> Any:
    if given["plane"] is not None:
        return _projected(bench, bench.image, given["plane"])
    if bench.is_stack:
        raise ImageError(
            f'{bench.job.item.path}: is a stack, and vectors are of planes; give plane = 0, "mean" or "variation".'
        )
    return np.asarray(bench.image[...])


def track(bench: Bench, _given: Parameters) -> None:
    """Add the track of every cell of a time-lapse."""
    import pandas as pd

    from napari_biofm.cells.track.tracks import link_by_overlap

    cells = run_task(link_by_overlap(np.asarray(bench.masks)))
    table = pd.DataFrame(cells, columns=["track", "frame", "label"])
    table.to_parquet(bench.folder / "tracks.parquet", index=False)
    bench.facts["tracks"] = int(table["track"].nunique())


def _add(bench: Bench, table: Any) -> None:
    """Put columns beside those of the cells that are known, by label."""
    if bench.cells is None:
        bench.cells = table
        return
    new = [name for name in table.columns if name == "label" or name not in bench.cells.columns]
    bench.cells = bench.cells.merge(table[new], on="label", how="outer", sort=True)
