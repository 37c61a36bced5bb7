"""What each step does to an item; they call the functions that docks and command line call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.batch.jobs import Bench
from napari_biofm.batch.parameters import IMAGE
from napari_biofm.files import write_json
from napari_biofm.types import BatchError, ImageError, SegmentationParameters, run_task

Parameters = Mapping[str, Any]
FIRST = ("item", "image", "label")  # columns at the front of the table of cells


def open_item(bench: Bench) -> None:
    """Open the item's file: an image with its masks if they were given, or a recording."""
    item = bench.job.item
    if item.kind == IMAGE:
        from napari_biofm.api.images import describe_image, read_masks

        segment = dict(bench.job.steps).get("segment", {})
        opened = describe_image(item.path, segment.get("axes"))
        bench.image, bench.is_stack, bench.channels = opened.pixels, opened.is_stack, opened.channels
        bench.facts["notes"] = list(opened.notes)
        if item.masks is not None:
            bench.masks = read_masks(item.masks)
    else:
        from napari_biofm.api.signals import read_recording

        bench.recording = read_recording(
            item.path, sampling_rate=bench.job.sampling_rate, unit=bench.job.unit
        )


def segment(bench: Bench, given: Parameters) -> None:
    """Find the cells, unless masks were given for this image."""
    if bench.masks is not None:
        return
    from napari_biofm.api.images import chosen_channels, describe_image, segment_opened
    from napari_biofm.images.tiling.large_images import LargeResult

    channels = chosen_channels(given["channel"], given["second_channel"])
    image, is_stack = bench.image, bench.is_stack
    if channels is not None:
        image = describe_image(bench.job.item.path, given["axes"], channels).pixels
    if given["projection"] is not None:
        image, is_stack = _projected(bench, image, given["projection"]), False
    parameters = SegmentationParameters(
        given["diameter"], given["flow_threshold"], given["cellprob_threshold"], given["min_size"]
    )
    found = segment_opened(image, is_stack, parameters, model=given["model"], device=given["device"])
    bench.masks = found.labels() if isinstance(found, LargeResult) else found.masks
    provenance = dict(found.provenance)
    bench.facts |= {
        "model": provenance.get("model", given["model"]),
        "weights_sha256": provenance.get("weights_sha256"),
        "diameter_px": found.diameter,
    }


def _projected(bench: Bench, image: Any, what: str) -> Any:
    from napari_biofm.images.io.projections import MEAN, SPREAD, projection

    if not bench.is_stack:
        raise BatchError(f"{bench.job.item.path}: is no movie or stack; leave projection out.")
    colours = image.ndim > 3
    return projection(image, MEAN if what == "mean" else SPREAD, 3 if colours else 2)


def measure(bench: Bench, given: Parameters) -> None:
    """Add the measurements of every cell."""
    from napari_biofm.api.measuring import channels_of_images, measure_cells, pixel_size_of
    from napari_biofm.cells.table.quantities import MeasuredOn
    from napari_biofm.images.io.names import stem_of

    path, masks = bench.job.item.path, np.asarray(bench.masks)
    spatial = tuple(bench.image.shape[: 2 + bench.is_stack])
    channels = channels_of_images(path, masks.shape) if masks.shape == spatial else {}
    size = pixel_size_of(path, masks.ndim, given["pixel_size_um"])
    table = measure_cells(masks, MeasuredOn(channels, stem_of(path), size, "", None))
    _add(bench, table)


def embed(bench: Bench, given: Parameters) -> None:
    """Add one vector per cell."""
    from napari_biofm.api.cells import embed as embed_cells

    found = embed_cells(_plane(bench), np.asarray(bench.masks), model=given["model"], device=given["device"])
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
    task = compute_embeddings(saved.encoders, _plane(bench), np.asarray(bench.masks), given["device"])
    computed = run_task(task)
    names = saved.match({name: source for name, (_, source) in computed.items()})
    vectors = np.concatenate([computed[name][0] for name in names], 1)
    head = saved.classifier
    probabilities = np.asarray(head.predict_proba(vectors), np.float32)
    classes = decide(probabilities, tuple(head.classes), given["min_probability"])
    table = {"label": labels, "class": list(classes), "probability": probabilities.max(axis=1)}
    _add(bench, pd.DataFrame(table))


def _plane(bench: Bench) -> Any:
    if bench.is_stack:
        raise ImageError(f"{bench.job.item.path}: is a stack; vectors are of single planes.")
    return np.asarray(bench.image[...])


def track(bench: Bench, _given: Parameters) -> None:
    """Add the track of every cell of a time-lapse."""
    import pandas as pd

    from napari_biofm.cells.track.tracks import link_by_overlap

    cells = run_task(link_by_overlap(np.asarray(bench.masks)))
    table = pd.DataFrame(cells, columns=["track", "frame", "label"])
    table.to_parquet(bench.folder / "tracks.parquet", index=False)
    bench.facts["tracks"] = int(table["track"].nunique())


def traces(bench: Bench, given: Parameters) -> None:
    """Measure the traces of a movie's cells; they become a recording for the steps that follow."""
    from napari_biofm.api.signals import traces as traces_of

    found = traces_of(
        bench.job.item.path,
        np.asarray(bench.masks),
        frame_rate=given["frame_rate"],
        neuropil_factor=given["neuropil_factor"],
        bad_frames=given["bad_frames"],
        dark_level=given["dark_level"],
    )
    found.save(bench.folder / "traces.npz")
    bench.recording = found.recording()
    bench.facts["warnings"] = list(found.warnings)


def events(bench: Bench, given: Parameters) -> None:
    """Find events."""
    from napari_biofm.api.signals import detect_events

    bench.events = detect_events(
        bench.recording,
        detector=given["detector"],
        kind=given["kind"],
        preset=given["preset"],
        channel=given["channel"],
        options=given["options"],
    )
    bench.facts["events"] = len(bench.events)


def features(bench: Bench, given: Parameters) -> None:
    """Describe sweeps and events by numbers; events found before are taken."""
    import pandas as pd

    from napari_biofm.api.signals import features as features_of

    epoch = None if given["epoch"] is None else str(given["epoch"])
    found = features_of(bench.recording, bench.events, channel=given["channel"], epoch=epoch)
    _write(bench, "features", pd.DataFrame(found))


def idealize(bench: Bench, given: Parameters) -> None:
    """Idealise a patch: open channels at every sample, and a row per sweep."""
    import pandas as pd

    from napari_biofm.api.channels import idealize as idealize_recording
    from napari_biofm.files import atomic_write

    found = idealize_recording(bench.recording, channel=given["channel"])
    with atomic_write(bench.folder / "ideal.npz") as temporary:
        np.savez_compressed(temporary, n_open=found.n_open, levels=found.levels, baseline=found.baseline)
    rows = []
    for sweep, levels in enumerate(found.levels):
        n_open, known = found.n_open[sweep], levels[np.isfinite(levels)]
        rows.append(
            {
                "sweep": sweep,
                "n_channels": max(len(known) - 1, 0),
                "unit_current": float(known[1] - known[0]) if len(known) > 1 else float("nan"),
                "unit": found.unit,
                "mean_open": float(n_open.mean()) if n_open.size else float("nan"),
                "open_probability": float((n_open > 0).mean()) if n_open.size else float("nan"),
            }
        )
    _write(bench, "channels", pd.DataFrame(rows))


RUN: Mapping[str, Callable[[Bench, Parameters], None]] = MappingProxyType(
    {
        "segment": segment,
        "measure": measure,
        "embed": embed,
        "classify": classify,
        "track": track,
        "traces": traces,
        "events": events,
        "features": features,
        "idealize": idealize,
    }
)


def write_results(bench: Bench) -> None:
    """Write masks, tables and the picture for the report."""
    import pandas as pd

    job = bench.job
    if bench.masks is not None and job.item.masks is None:
        _write_labels(bench)
    if bench.masks is not None:
        labels = np.unique(np.asarray(bench.masks))
        bench.facts["objects"] = int((labels > 0).sum())
    if bench.cells is not None:
        _write(bench, "cells", bench.cells)
    if bench.events is not None:
        names = bench.events.dtype.names
        columns = {name: bench.events[name] for name in names}
        plain = {k: v.astype(str) if v.dtype.kind in "USO" else v for k, v in columns.items()}
        _write(
            bench,
            "events",
            pd.DataFrame({k: np.ascontiguousarray(v) for k, v in plain.items() if v.ndim == 1}),
        )
    if job.thumbnail and bench.image is not None:
        import imageio.v3 as imageio

        plane = np.asarray(bench.image[0] if bench.is_stack else bench.image[...])
        masks = None if bench.masks is None else np.asarray(bench.masks)
        if masks is not None and masks.ndim == 3:
            masks = masks[0]
        imageio.imwrite(bench.folder / "thumbnail.png", small_picture(plane, masks))
    write_json(bench.folder / "columns.json", dict(job.item.columns))


def _write_labels(bench: Bench) -> None:
    if bench.job.labels == "tiff":
        from napari_biofm.images.io.masks import write_mask

        write_mask(bench.folder / "mask.tif", np.asarray(bench.masks))
    elif bench.job.labels == "zarr":
        from napari_biofm.session.parts import write_labels

        masks = np.asarray(bench.masks)
        write_labels(bench.folder / "labels.ome.zarr", masks, (1.0,) * masks.ndim)


def _add(bench: Bench, table: Any) -> None:
    """Put columns beside those of the cells that are known, by label."""
    if bench.cells is None:
        bench.cells = table
        return
    new = [name for name in table.columns if name == "label" or name not in bench.cells.columns]
    bench.cells = bench.cells.merge(table[new], on="label", how="outer", sort=True)


def _write(bench: Bench, name: str, table: Any) -> None:
    """Write a table of the item with its key, its file and what is known of its sample."""
    item = bench.job.item
    front = {"item": item.key, "file": item.path.name, **{f"{k}": v for k, v in item.columns.items()}}
    for position, (column, value) in enumerate(front.items()):
        column = column if column not in table.columns else f"sample_{column}"
        table.insert(position, column, value)
    table.to_parquet(bench.folder / f"{name}.parquet", index=False)


def small_picture(
    image: NDArray[np.generic], masks: NDArray[np.integer] | None, size: int = 160
) -> NDArray[np.uint8]:
    """Return a picture for the report: brightness stretched, masks outlined, (h, w, 3) uint8.

    Parameters
    ----------
    image : (Y, X), or with colours or channels last.
    masks : (Y, X) labels, or None.
    size : of the longer side, pixels.
    """
    from skimage.segmentation import find_boundaries

    step = max(1, -(-max(image.shape[:2]) // size))
    small = np.asarray(image[::step, ::step], np.float32)
    grey = small if small.ndim == 2 else small.max(axis=-1)
    finite = grey[np.isfinite(grey)]
    low, high = np.percentile(finite, [1, 99.8]) if finite.size else (0.0, 1.0)
    grey = np.nan_to_num((grey - low) / max(float(high - low), 1e-9)).clip(0, 1)
    picture = np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=-1)
    if masks is not None:
        picture[find_boundaries(masks[::step, ::step], mode="inner")] = (255, 200, 0)
    return picture
