"""The segmenters and embedders there are, by name, and the jobs that run them.

To add one: write its class behind `types.Segmenter` / `types.Embedder` / `types.Promptable` in a file
of its own and name it in `FAMILIES`. Adapters are imported where they are used, which is the worker.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from napari_biofm.engine.warm import keep
from napari_biofm.types import Image, ModelError, Segmentation, SegmentationParameters, Task


@dataclass(frozen=True)
class Family:
    """One kind of model.

    Attributes
    ----------
    module, attribute : where its class is.
    title : as shown to the user.
    good_for : in plain words, shown beside the choice.
    needs_weights : whether it is made with a weights file and a device.
    """

    module: str
    attribute: str
    title: str
    good_for: str
    needs_weights: bool = True


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "classical": Family(
            "napari_biofm.images.classical",
            "ClassicalSegmenter",
            "Classical (Otsu + watershed)",
            "Bright, round, separate nuclei. No network, no learning; the baseline to beat.",
            needs_weights=False,
        ),
    }
)
DEFAULT_MODEL = "classical"


def make_model(name: str = DEFAULT_MODEL, device: str = "auto") -> Any:
    """Return the model of this name, kept warm in the process that calls.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if name not in FAMILIES:
        raise ModelError(f"No model '{name}'; there are: {', '.join(FAMILIES)}.")
    family = FAMILIES[name]
    return keep((name, device), lambda: _make(family, device))


def _make(family: Family, device: str) -> Any:
    maker = getattr(importlib.import_module(family.module), family.attribute)
    return maker(device=device) if family.needs_weights else maker()


def segment(
    image: Image,
    model: str = DEFAULT_MODEL,
    parameters: SegmentationParameters | None = None,
    device: str = "auto",
) -> Task[Segmentation]:
    """Segment one image with the named model: the job that docks and the command line submit.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), any real dtype.
    model : name in `FAMILIES`.
    parameters : thresholds and diameter, defaults when None.
    device : "auto", "cpu", "cuda" or "mps".
    """
    segmenter = make_model(model, device)
    result: Segmentation = yield from segmenter.segment(image, parameters or SegmentationParameters())
    return result
