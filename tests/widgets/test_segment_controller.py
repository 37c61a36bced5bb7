"""What the Segment dock does, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.controllers.segment.controller import Request, SegmentController, describe_count
from napari_biofm.images.io.projections import MEAN
from napari_biofm.session import Session
from napari_biofm.types import SegmentationParameters


def blobs(shape=(96, 128)):
    image = np.zeros(shape, np.float32)
    y, x = np.indices(shape[-2:])
    for cy, cx in ((24, 30), (24, 90), (70, 40), (66, 100)):
        image[..., (y - cy) ** 2 + (x - cx) ** 2 <= 81] = 1
    return image


@pytest.fixture
def bench():
    viewer, session, told = ViewerModel(), Session(), {"result": [], "running": [], "errors": []}

    def run(
        function, *args, name, lane="bulk", bound_to=None, on_done=None, on_step=None, on_end=None, **kwargs
    ):
        """As a dock does, with nothing to show."""

        def end(result=None, finished=False):
            if on_end is not None:
                on_end()
            if finished and on_done is not None:
                on_done(result)

        return session.engine.submit(
            function,
            *args,
            name=name,
            lane=lane,
            bound_to=bound_to,
            on_progress=on_step or (lambda progress: None),
            on_done=lambda result: end(result, True),
            on_error=lambda error: (end(), told["errors"].append(error)),
            on_cancel=end,
            **kwargs,
        )

    controller = SegmentController(viewer, session, run, told["errors"].append)
    controller.result_changed.connect(told["result"].append)
    controller.running_changed.connect(told["running"].append)
    yield viewer, session, controller, told
    session.close()


def request_for(layer, pixels="shown plane"):
    return Request(layer, pixels, "classical", SegmentationParameters(diameter=18), "cpu")


def test_masks_lie_on_their_image_and_are_put_in_play(bench):
    viewer, session, controller, told = bench
    image = viewer.add_image(blobs(), name="cells", scale=(0.5, 0.5))
    controller.segment(request_for(image))
    labels = viewer.layers["cells cells"]
    assert len(np.unique(labels.data)) == 5
    np.testing.assert_allclose(labels.data_to_world((10, 10)), image.data_to_world((10, 10)))
    assert (session.image, session.labels) == (layer_id(image), layer_id(labels))
    assert session.segmentation(session.labels).provenance["choice"] == "classical"
    assert told["running"] == [True, False] and told["result"][-1].startswith("4 cells in 'cells'")


def test_a_movie_is_segmented_on_its_mean(bench):
    viewer, _, controller, _ = bench
    movie = viewer.add_image(blobs((5, 96, 128)), name="movie")
    controller.segment(request_for(movie, MEAN))
    assert viewer.layers["movie cells"].data.shape == (96, 128)


def test_masks_of_an_image_that_was_removed_are_dropped(bench):
    viewer, session, controller, told = bench
    image = viewer.add_image(blobs(), name="cells")
    show = controller._show
    controller._show = lambda *result: (viewer.layers.remove(image), show(*result))
    controller.segment(request_for(image))
    assert session.labels is None and not len(viewer.layers)
    assert "was removed" in told["result"][-1]


def test_an_outcome_without_cells_says_what_to_try():
    from napari_biofm.types import Segmentation

    assert "Try another model" in describe_count("x", Segmentation(np.zeros((4, 4), np.int32)))
