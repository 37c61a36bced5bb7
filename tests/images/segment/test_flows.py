"""Ideal flows must give back the masks they were made from; everything else must not crash."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.segment.flows import flow_basins, masks_from_flows
from napari_biofm.images.segment.ideal_flows import flow_errors, flows_from_masks
from napari_biofm.types import ImageError, SegmentationParameters


def bent_and_touching() -> np.ndarray:
    """Labels of touching discs, an L-shaped cell and a rod, (Y, X) int32."""
    yy, xx = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.int32)
    for k, (y, x, r) in enumerate([(25, 25, 12), (25, 47, 11), (48, 36, 12), (90, 30, 16)], 1):
        labels[((yy - y) ** 2 + (xx - x) ** 2 < r * r) & (labels == 0)] = k
    labels[60:110, 80:92] = 5
    labels[98:110, 80:125] = 5
    labels[20:28, 80:140] = 6
    return labels


def best_overlap(truth: np.ndarray, found: np.ndarray) -> list[float]:
    """IoU of every true object with its best match."""
    scores = []
    for k in range(1, truth.max() + 1):
        mine = truth == k
        others = [m for m in np.unique(found[mine]) if m]
        scores.append(
            max(((mine & (found == m)).sum() / (mine | (found == m)).sum() for m in others), default=0.0)
        )
    return scores


def test_ideal_flows_give_back_every_mask() -> None:
    truth = bent_and_touching()
    found = masks_from_flows(flows_from_masks(truth), np.where(truth > 0, 6.0, -6.0))
    assert found.dtype == np.int32
    assert found.max() == truth.max()
    assert min(best_overlap(truth, found)) > 0.97


def test_large_cells_come_back_when_their_diameter_is_given() -> None:
    truth = np.kron(bent_and_touching(), np.ones((4, 4), np.int32))
    chosen = SegmentationParameters(diameter=96.0)
    found = masks_from_flows(flows_from_masks(truth), np.where(truth > 0, 6.0, -6.0), chosen)
    assert found.max() == truth.max()
    assert min(best_overlap(truth, found)) > 0.9


def test_flows_are_unit_vectors_inside_and_zero_outside() -> None:
    truth = bent_and_touching()
    length = np.hypot(*flows_from_masks(truth))
    assert (length[truth == 0] == 0).all()
    assert np.quantile(length[truth > 0], 0.02) == pytest.approx(1.0, abs=1e-3)


def test_the_same_flows_give_the_same_labels_in_reading_order() -> None:
    truth = bent_and_touching()
    rng = np.random.default_rng(0)
    flows = flows_from_masks(truth) + rng.normal(0, 0.3, (2, *truth.shape)).astype(np.float32)
    prob = np.where(truth > 0, 3.0, -3.0) + rng.normal(0, 1, truth.shape)
    first, second = masks_from_flows(flows, prob), masks_from_flows(flows, prob)
    np.testing.assert_array_equal(first, second)
    _, starts = np.unique(first[first > 0], return_index=True)
    assert (np.diff(starts) > 0).all()


def test_small_objects_and_wrong_flows_are_dropped_as_asked() -> None:
    truth = bent_and_touching()
    flows, prob = flows_from_masks(truth), np.where(truth > 0, 6.0, -6.0)
    large = masks_from_flows(flows, prob, SegmentationParameters(min_size=500))
    assert 0 < large.max() < truth.max()
    turned = np.stack([flows[1], -flows[0]])
    assert flow_errors(truth, turned)[1:].min() > 1.0
    assert flow_errors(truth, flows)[1:].max() < 0.35  # not 0: large cells are compared on a coarser grid


def test_faint_objects_are_dropped_where_surety_is_asked() -> None:
    truth = bent_and_touching()
    flows, prob = flows_from_masks(truth), np.where(truth > 0, 6.0, -6.0)
    prob[truth == 2] = 0.6
    everything, sure = (masks_from_flows(flows, prob, None, surety) for surety in (0.0, 1.0))
    assert everything.max() == sure.max() + 1
    assert not sure[truth == 2].any() and (sure[(truth > 0) & (truth != 2)] > 0).mean() > 0.99
    faint = masks_from_flows(flows, prob / 8, None, 1.0)  # where all are, none is
    assert faint.max() == everything.max() - 1
    lower = SegmentationParameters(cellprob_threshold=-0.5)  # asked for by a user: what is faint comes back
    assert masks_from_flows(flows, prob, lower, 1.0).max() == everything.max()


def test_holes_are_filled_and_each_cell_is_one_piece() -> None:
    truth = bent_and_touching()
    prob = np.where(truth > 0, 6.0, -6.0)
    prob[88:92, 40:43] = -6.0
    found = masks_from_flows(flows_from_masks(truth), prob)
    assert (found[88:92, 40:43] == found[90, 30]).all()


def test_basins_say_for_each_pixel_which_sink_it_runs_to() -> None:
    truth = bent_and_touching()
    basins, sinks = flow_basins(flows_from_masks(truth), np.where(truth > 0, 6.0, -6.0))
    assert len(sinks) == truth.max() == basins.max()
    for number, (y, x) in enumerate(sinks, 1):
        assert basins[y, x] == number


def test_nothing_in_gives_nothing_out() -> None:
    masks = masks_from_flows(np.zeros((2, 7, 9)), np.full((7, 9), -5.0))
    assert masks.shape == (7, 9) and not masks.any()
    assert not flows_from_masks(np.zeros((4, 4), np.int32)).any()
    assert masks_from_flows(np.full((2, 1, 1), np.nan), np.ones((1, 1))).shape == (1, 1)


def test_shapes_that_do_not_fit_are_refused_with_both_shapes() -> None:
    with pytest.raises(ImageError, match=r"\(2, 5, 5\).*\(4, 4\)"):
        masks_from_flows(np.zeros((2, 5, 5)), np.zeros((4, 4)))
