"""What each step does to an item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from napari_biofm.batch.image_steps import classify, embed, measure, segment, track
from napari_biofm.batch.jobs import Bench
from napari_biofm.batch.parameters import IMAGE
from napari_biofm.batch.signal_steps import events, features, idealize, traces
from napari_biofm.batch.writing import export

Parameters = Mapping[str, Any]

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
        "export": export,
    }
)


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
