"""What the catalogue says of a model is what its class says, and what its class has; others are refused by name."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import numpy as np
import pytest

from napari_biofm.images import protocols
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.segment import catalogue
from napari_biofm.images.segment.catalogue import ADAPTERS, FAMILIES
from napari_biofm.images.tiling.large_images import segment_large
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.types import Capabilities, ModelError, Segmentation, SegmentationParameters, run_task

METHODS = {
    "segments": "segment",
    "embeds": "embed",
    "clicks": "predict",
    "stacks": "segment_stack",
    "remasks": "remask",
    "estimates": "estimate",
    "keeps_passes": "keep_passes",
    "vectors": "vectors",
    "crops": "crop_vectors",
    "propagates": "carry",
}
ALL = {**FAMILIES, **ADAPTERS}


@pytest.mark.parametrize("name", list(ALL))
def test_the_table_says_what_the_class_says_and_has(name: str) -> None:
    made = getattr(importlib.import_module(ALL[name].module), ALL[name].attribute)
    told = ALL[name].capabilities
    assert made.capabilities == told
    for flag, method in METHODS.items():
        assert getattr(told, flag) == hasattr(made, method), method
    arguments = (
        inspect.signature(made.segment).parameters if told.segments else {}
    )  # encoders of crops find no cells
    assert told.viewport == ("viewport" in arguments) and told.limits == ("limits" in arguments)


def test_what_models_can_do_is_known_without_torch() -> None:
    code = (
        "import sys; from napari_biofm.images.segment.catalogue import capabilities_of, models_here\n"
        "assert capabilities_of('cpsam').stacks and capabilities_of('biofm-image').clicks\n"
        "assert not capabilities_of('no such model').segments\n"
        "assert models_here(lambda c: c.segments)[:2] == ['biofm-image', 'classical']\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_model_for_another_purpose_is_refused_with_the_names_of_those_that_serve() -> None:
    for make, lacks in (
        (catalogue.make_promptable, "answers no clicks"),
        (catalogue.make_crop_encoder, "gives no vectors of single cells"),
    ):
        with pytest.raises(ModelError, match=f"'classical' {lacks}.*choose one of: biofm-image"):
            make("classical")
    assert catalogue.make_segmenter("classical") is catalogue.make_embedder("classical")


class Model:
    """A segmenter without flows, under a name that others have, too."""

    name = "shared name"
    capabilities = Capabilities(segments=True)

    def __init__(self, weights_sha256: str) -> None:
        self.weights_sha256, self.calls = weights_sha256, 0

    def segment(self, image, parameters):
        self.calls += 1
        yield from ()
        return Segmentation(np.ones(image.shape, np.int32))


def test_labels_kept_of_other_weights_of_the_same_name_are_not_used(tmp_path) -> None:
    image, store = LazyImage(np.zeros((30, 40), np.uint8), "YX"), PassStore(tmp_path)
    calls = []
    for weights in ("a" * 64, "b" * 64, "a" * 64):
        model = Model(weights)
        run_task(segment_large(model, image, SegmentationParameters(), store=store))
        calls.append(model.calls)
    assert calls == [1, 1, 0]


def test_a_model_is_asked_only_for_what_it_says_it_can() -> None:
    model = Model("")
    assert not any(
        ask(model)
        for ask in (
            protocols.segments_stacks,
            protocols.begins_anywhere,
            protocols.takes_limits,
            protocols.remasks,
            protocols.estimates,
            protocols.keeps_passes,
            protocols.pools_cells,
        )
    )
