"""What an item leaves on the disk: masks, tables, the picture for the report, files for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from napari_biofm.api.pages import small_picture
from napari_biofm.batch.jobs import PIECE, Bench
from napari_biofm.images.io.names import image_id

MASK_FILES = MappingProxyType({"imagej": "_rois.zip", "geojson": ".geojson", "coco": "_coco.json"})


def write_results(bench: Bench) -> None:
    """Write masks, tables and the picture for the report."""
    import pandas as pd

    job = bench.job
    if bench.masks is not None and (job.item.masks is None or job.corrected is not None):
        _write_labels(bench)
    if bench.masks is not None:
        labels = np.unique(np.asarray(bench.masks))
        bench.facts["objects"] = int((labels > 0).sum())
    if bench.cells is not None:
        write_table(bench, "cells", bench.cells)
    if bench.events is not None:
        names = bench.events.dtype.names
        columns = {name: bench.events[name] for name in names}
        plain = {k: v.astype(str) if v.dtype.kind in "USO" else v for k, v in columns.items()}
        write_table(
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
        picture = imageio.imwrite("<bytes>", small_picture(plane, masks), extension=".png")
        (bench.folder / "thumbnail.png").write_bytes(
            picture
        )  # a file of imageio's is closed late, its errors are lost


def _write_labels(bench: Bench) -> None:
    if bench.job.labels == "tiff":
        from napari_biofm.images.io.masks import write_mask

        write_mask(bench.folder / "mask.tif", np.asarray(bench.masks))
    elif bench.job.labels == "zarr":
        from napari_biofm.session.parts import write_labels

        write_labels(bench.folder / "labels.ome.zarr", np.asarray(bench.masks), {})


def write_table(bench: Bench, name: str, table: Any) -> None:
    """Write a table of the item with its key and its file; what is known of its sample is added at the end."""
    item = bench.job.item
    for position, (column, value) in enumerate((("item", item.key), ("file", image_id(item.path)))):
        table.insert(position, column if column not in table.columns else f"sample_{column}", value)
    import pyarrow as pa

    rows = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with (
        pa.OSFile(str(bench.folder / f"{name}{PIECE}"), "wb") as file,
        pa.ipc.new_file(file, rows.schema) as out,
    ):
        out.write_table(rows)


def export(bench: Bench, given: Mapping[str, Any]) -> None:
    """Write an item for other programs: outlines of an image, or NWB of a recording.

    Parameters
    ----------
    bench : of the item.
    given : `masks` or `recordings`, names of formats.
    """
    if bench.masks is not None and given.get("masks"):
        from napari_biofm.images.io.exchange.formats import write_cells

        for kind in given["masks"]:
            path = bench.folder / f"cells{MASK_FILES[kind]}"
            notes = write_cells(path, np.asarray(bench.masks), _classes(bench), bench.job.item.path.name)
            bench.facts["notes"] = [*bench.facts.get("notes", []), *notes]
    if bench.recording is not None and given.get("recordings"):
        from napari_biofm.signals.export import write_nwb

        write_nwb(bench.folder / "recording.nwb", bench.recording, bench.events)


def _classes(bench: Bench) -> dict[int, str]:
    if bench.cells is None or "class" not in bench.cells:
        return {}
    return dict(zip(bench.cells["label"].astype(int), bench.cells["class"].astype(str), strict=True))
