"""Crops by the stack: the same facts and views as crop by crop, whatever channels a crop has."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.segment.embedded.input_planes import PLANES, to_planes, to_planes_each
from napari_biofm.images.segment.embedded.vectors import FACTS, SIDE, crop_views, facts


def stacks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    cells = rng.poisson(40, (9, 30, 30, 3)).astype(np.uint8)
    cells[:, 8:20, 10:24] += 90
    empty_channel = cells.copy()
    empty_channel[4, ..., 1] = 7
    return {
        "three channels": cells,
        "one": cells[..., 0],
        "two": cells[..., :2],
        "five": rng.random((4, 20, 26, 5)),
        "one crop lacks a channel": empty_channel,
        "without contrast": np.full((2, 12, 12), 9, np.uint16),
        "gaps": np.where(rng.random((3, 18, 18)) > 0.9, np.nan, rng.random((3, 18, 18))),
    }


@pytest.mark.parametrize("name", list(stacks()))
def test_a_stack_gives_what_each_crop_gives(name: str) -> None:
    stack = stacks()[name]
    planes = to_planes_each(stack)
    assert planes.shape == (len(stack), PLANES, *stack.shape[1:3]) and planes.dtype == np.float32
    np.testing.assert_array_equal(planes, [to_planes(crop, polarity=False) for crop in stack])
    assert crop_views(stack).shape == (len(stack), PLANES, SIDE, SIDE)
    together = facts(stack)
    assert together.shape == (len(stack), PLANES * FACTS) and np.isfinite(together).all()
    np.testing.assert_array_equal(
        together, np.concatenate([facts(stack[i : i + 1]) for i in range(len(stack))])
    )


def test_facts_say_size_brightness_shape_and_entropy() -> None:
    crop = np.full((1, 32, 32), 10.0)
    crop[0, 8:24, 12:20] = 110.0  # 16 x 8 pixels, 100 above the ground
    level, shape = np.split(facts(crop)[0, :FACTS].astype(float), [8])
    assert level[2] == pytest.approx(np.log1p(10), rel=1e-5) and level[5] == pytest.approx(
        np.log1p(110), rel=1e-5
    )
    integrated, area, mean = np.expm1(shape[1]), np.exp(shape[2]), np.sinh(shape[4])
    assert (integrated, area, mean) == pytest.approx((12_800, 128, 100), rel=1e-4)
    long, short = np.exp(shape[6:8])
    assert (long, short) == pytest.approx((np.sqrt((16**2 - 1) / 12), np.sqrt((8**2 - 1) / 12)), rel=1e-4)
    filled = 128 / 1024
    expected = -(filled * np.log(filled) + (1 - filled) * np.log(1 - filled))
    assert shape[9] == pytest.approx(expected, rel=1e-5)
