"""Large images are segmented block by block; objects on seams are found once and whole."""

import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_biofm.images.tiling.blocks import block_boxes, limits_of, segment_blocks
from napari_biofm.types import (
    Capabilities,
    ImageError,
    Progress,
    Segmentation,
    SegmentationParameters,
    run_task,
)

DEFAULT = SegmentationParameters()


class Threshold:
    """Finds what is brighter than 0.5; remembers the largest part it saw."""

    name = "threshold"
    weights_sha256 = ""
    capabilities = Capabilities(segments=True)
    largest = 0

    def segment(self, image, parameters):
        self.largest = max(self.largest, image.size)
        yield Progress(1, 1, "looking")
        return Segmentation(ndimage.label(image > 0.5)[0].astype(np.int32))


@pytest.fixture
def discs():
    y, x = np.mgrid[:300, :410]
    image = np.zeros(y.shape, np.float32)
    for cy in range(12, 300, 24):
        for cx in range(14, 410, 24):
            image[(y - cy) ** 2 + (x - cx) ** 2 < 9**2] = 1
    return image


def test_blocks_cover_the_image_once():
    seen = np.zeros((300, 410), int)
    for y0, x0, y1, x1 in block_boxes((300, 410), 128):
        assert y1 - y0 <= 128 and x1 - x0 <= 128
        seen[y0:y1, x0:x1] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("block", [64, 100, 128, 1000])
def test_objects_on_seams_are_whole_and_unique(discs, block):
    expected, count = ndimage.label(discs > 0.5)
    labels = run_task(segment_blocks(Threshold(), discs, DEFAULT, block=block, margin=32))
    assert labels.max() == count
    np.testing.assert_array_equal(labels > 0, expected > 0)
    pairs = np.unique(np.stack([labels[labels > 0], expected[labels > 0]]), axis=1)
    assert pairs.shape[1] == count


def test_zarr_passes_in_bounded_memory(discs, tmp_path):
    image = zarr.create_array(str(tmp_path / "i.zarr"), shape=discs.shape, chunks=(64, 64), dtype="f4")
    image[:] = discs
    out = zarr.create_array(str(tmp_path / "o.zarr"), shape=discs.shape, chunks=(64, 64), dtype="i4")
    segmenter = Threshold()
    run_task(segment_blocks(segmenter, image, DEFAULT, out, block=100, margin=24))
    assert segmenter.largest <= 150 * 150
    assert out[:].max() == ndimage.label(discs > 0.5)[1]


def test_progress_grows_to_the_end(discs):
    steps = list(segment_blocks(Threshold(), discs, DEFAULT, block=128, margin=32))
    done = [step.done for step in steps]
    assert done == sorted(done) and done[-1] == steps[-1].total


def test_a_segmenter_that_can_sees_all_blocks_on_one_scale(discs):
    class Scaled(Threshold):
        capabilities = Capabilities(segments=True, limits=True)
        limits = ()

        def segment(self, image, parameters, limits=None):
            self.limits = (*self.limits, limits)
            result = yield from super().segment(image, parameters)
            return result

    segmenter = Scaled()
    image = np.stack([discs, 3 * discs], axis=-1)
    run_task(segment_blocks(segmenter, image[..., 0], DEFAULT, block=128, margin=32))
    assert len(segmenter.limits) > 1
    assert all(limits.tolist() == [[0, 1]] for limits in segmenter.limits)
    assert limits_of(image).tolist() == [[0, 1], [0, 3]]


def test_labels_that_do_not_fit_are_refused(discs):
    with pytest.raises(ImageError, match="cannot hold"):
        run_task(segment_blocks(Threshold(), discs, DEFAULT, np.zeros((3, 3), np.int32)))
