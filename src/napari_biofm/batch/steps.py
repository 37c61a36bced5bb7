"""What each step does to an item."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_biofm.batch.image_steps import classify, embed, measure, segment, track
from napari_biofm.batch.jobs import Bench
from napari_biofm.batch.parameters import IMAGE
from napari_biofm.batch.signal_steps import events, features, idealize, traces
from napari_biofm.batch.writing import export

BY_HAND = "corrected by hand"
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


def about_correction(masks: Path) -> dict[str, Any]:
    """Return what is known of masks that were corrected: that they were, and which model had made them.

    Parameters
    ----------
    masks : their file.
    """
    try:
        about = json.loads(masks.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        about = {}
    return {"corrected": BY_HAND, **(about if isinstance(about, dict) else {})}


def open_item(bench: Bench) -> None:
    """Open the item's file: an image with its masks if they were given, or a recording."""
    item = bench.job.item
    if item.kind == IMAGE:
        from napari_biofm.api.images import describe_image, read_masks

        segment = dict(bench.job.steps).get("segment", {})
        opened = describe_image(item.path, segment.get("axes"))
        bench.image, bench.is_stack, bench.channels = opened.pixels, opened.is_stack, opened.channels
        bench.facts["notes"] = list(opened.notes)
        if bench.job.corrected is not None:
            bench.masks = read_masks(bench.job.corrected)
            bench.facts |= about_correction(bench.job.corrected)
        elif item.masks is not None:
            bench.masks = read_masks(item.masks)
    else:
        from napari_biofm.api.signals import read_recording

        bench.recording = read_recording(
            item.path, sampling_rate=bench.job.sampling_rate, unit=bench.job.unit
        )
