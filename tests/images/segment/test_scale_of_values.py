"""The same picture in another unit gives the same masks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.segment.jobs import segment_job
from napari_biofm.types import SegmentationParameters, run_task


@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6])
@pytest.mark.parametrize("model", ["classical", "biofm-image"])
def test_the_same_masks(model: str, factor: float) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    image = 100 + rng.normal(0, 15, (160, 160))
    for at in ((40, 40), (40, 110), (110, 60), (120, 120)):
        image += 900 * (np.hypot(y - at[0], x - at[1]) < 12)
    plain = run_task(segment_job(image, model, SegmentationParameters())).masks
    other = run_task(segment_job(image * factor, model, SegmentationParameters())).masks
    assert plain.max() == 4
    assert np.mean((plain > 0) != (other > 0)) < 0.002
