"""What is done before the first click, so that it does not wait: no viewer, no network."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_biofm.controllers.annotate.mask_predictor import MaskPredictor
from napari_biofm.images.edit import View
from napari_biofm.images.prompt.backends import answer_prompt, load_click_model, prepare_image
from napari_biofm.types import Prompt

CLICK = Prompt(np.array([[20.0, 30.0]]), np.array([True]))


class Engine:
    """Counts what is submitted to it, and does nothing."""

    def __init__(self, name):
        self.name, self.submitted = name, []

    def submit(self, function, *args, **_):
        self.submitted.append((function, args))


@pytest.fixture
def made():
    """Return what makes a predictor, its engine, and the jobs it had run."""

    def make(engine="worker", backend="a-network"):
        jobs = []
        session = SimpleNamespace(engine=Engine(engine), labels=None)

        def run(function, *args, on_done=None, on_end=None, **_):
            jobs.append(SimpleNamespace(function=function, args=args, on_done=on_done, on_end=on_end))

        predictor = MaskPredictor(SimpleNamespace(layers=[]), session, run)
        predictor.backend = backend
        return predictor, session.engine, jobs

    return make


def image(height, width):
    data = np.zeros((height, width), np.uint8)
    return SimpleNamespace(unique_id="i", data=data, ndim=2, multiscale=False, rgb=False), View(
        (0, 0), (0, 1)
    )


def test_a_network_is_loaded_once_per_backend(made):
    predictor, engine, _ = made()
    predictor.get_ready()
    predictor.get_ready()
    predictor.backend = "another"
    predictor.get_ready()
    assert [(f, a[0]) for f, a in engine.submitted] == [
        (load_click_model, "a-network"),
        (load_click_model, "another"),
    ]


def test_a_plane_prepared_ahead_is_not_prepared_again_by_the_first_click(made):
    predictor, _, jobs = made()
    layer, view = image(100, 120)
    predictor.prepare_ahead(layer, view)
    predictor.prepare_ahead(layer, view)
    assert [job.function for job in jobs] == [prepare_image]
    heard = []
    predictor.ask((layer, view, CLICK, None), heard.append)  # while it is being prepared: the click waits
    assert len(jobs) == 1
    jobs[0].on_done("key")
    assert [job.function for job in jobs] == [prepare_image, answer_prompt]
    assert jobs[1].args[0] == jobs[0].args[0], "the click asks for what was prepared"
    predictor.prepare_ahead(layer, view)
    assert len(jobs) == 2


def test_large_planes_and_volumes_wait_for_the_click(made):
    predictor, _, jobs = made()
    predictor.prepare_ahead(*image(3000, 400))
    layer, _ = image(40, 40)
    predictor.prepare_ahead(layer, View((0, 0, 0), (0, 1, 2)))
    assert not jobs


@pytest.mark.parametrize(("engine", "backend"), [("inline", "a-network"), ("worker", "level-sets")])
def test_nothing_is_made_ready_where_a_click_needs_no_worker(made, engine, backend):
    predictor, its_engine, jobs = made(engine, backend)
    predictor.get_ready()
    predictor.prepare_ahead(*image(40, 40))
    assert not its_engine.submitted and not jobs


def test_our_own_model_has_answered_a_click_once_it_is_loaded(monkeypatch):
    from napari_biofm.images.prompt import backends

    seen = []

    class Model:
        def prepare(self, pixels):
            seen.append(("prepare", pixels.shape))
            yield
            return "prepared"

        def predict(self, prepared, prompt):
            seen.append((prepared, prompt.points.tolist()))

    monkeypatch.setattr(backends, "make_promptable", lambda *_: Model())
    load_click_model("sam-vit-b")
    assert not seen, "an encoder that takes seconds for any image is loaded only"
    load_click_model(backends.EMBEDDED)
    assert seen == [("prepare", (64, 64)), ("prepared", [[32.0, 32.0]])]
