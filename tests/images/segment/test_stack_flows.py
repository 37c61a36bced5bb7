"""Stacks segmented plane by plane keep their flows, for flow basins and for other thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.prompt.flow_basins import Basins, plane_of
from napari_biofm.images.protocols import StackOptions
from napari_biofm.images.segment import jobs, stacks
from napari_biofm.images.segment.ideal_flows import flows_from_masks
from napari_biofm.types import (
    Capabilities,
    ImageError,
    Progress,
    Segmentation,
    SegmentationParameters,
    run_task,
)


def truth():
    labels = np.zeros((3, 50, 60), np.int32)
    y, x = np.indices((50, 60))
    for z in range(3):
        labels[z][(y - 20) ** 2 + (x - 20 - z) ** 2 < 90] = 1
        labels[z][(y - 32) ** 2 + (x - 42) ** 2 < 60] = 2
    return labels


BRIGHT = 100  # grey levels of a cell's number: one level above the ground would be rounding, not a cell


class PlaneSegmenter:
    name = "planes"
    weights_sha256 = ""
    capabilities = Capabilities(segments=True, flows=True)

    def segment(self, image, parameters):
        yield Progress(1, 1, "plane")
        prob = np.where(image > 0, 4.0, -4.0).astype(np.float32)
        masks = (image // BRIGHT).astype(np.int32)
        return Segmentation(masks, flows_from_masks(masks), prob, diameter=19.0)


@pytest.mark.parametrize("mode", ["stitch", "time"])
def test_flows_of_all_planes_are_kept_and_give_the_masks_again(mode):
    stack = truth()
    found = run_task(
        stacks.segment_pixels(PlaneSegmenter(), BRIGHT * stack, SegmentationParameters(), StackOptions(mode))
    )
    assert found.flows.shape == (2, 3, 50, 60)
    assert found.cell_prob.shape == (3, 50, 60)
    again = jobs.masks_again(PlaneSegmenter(), found, SegmentationParameters())
    assert np.array_equal(again > 0, stack > 0)
    n = 2 if mode == "stitch" else 6
    assert len(np.unique(again)) == n + 1 == len(np.unique(found.masks))
    table = Basins.of(plane_of(found, 2))
    assert table.basins[20, 22] != table.basins[32, 42]
    with pytest.raises(ImageError, match="no plane 3"):
        plane_of(found, 3)


def test_a_stack_too_large_and_a_segmenter_without_flows_keep_none(monkeypatch):
    monkeypatch.setattr(stacks, "KEPT_VOXELS", 100)
    found = run_task(stacks.segment_stack(PlaneSegmenter(), truth(), SegmentationParameters()))
    assert found.flows is None and found.cell_prob is None
    kept = stacks.PlaneFlows((2, 5, 6))
    kept.put(0, Segmentation(np.zeros((5, 6), np.int32)))
    assert kept.whole == (None, None)
