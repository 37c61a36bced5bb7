"""The segmenters and embedders there are, by name.

To add one: write its class behind `types.Segmenter` / `types.Embedder` / `types.Promptable` in a file
of its own and name it in `FAMILIES`. Adapters are imported where they are used, which is the worker.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_biofm.engine.warm import keep
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from napari_biofm.models.store import Weights


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
        "biofm-image": Family(
            "napari_biofm.images.segment.embedded.model",
            "EmbeddedModel",
            "Embedded model (in the package)",
            "Nuclei and cells in fluorescence, stained tissue and phase contrast; small and quick on any "
            "computer. See docs/models.md for where it is weak.",
        ),
        "classical": Family(
            "napari_biofm.images.segment.classical",
            "ClassicalSegmenter",
            "Classical (Otsu + watershed)",
            "Bright, round, separate nuclei. No network, no learning; the baseline to beat.",
            needs_weights=False,
        ),
    }
)
DEFAULT_MODEL = "biofm-image"

# adapter of each family of weights that a registered name or a file may hold
ADAPTERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "cellpose-sam": ("napari_biofm.images.segment.cellpose_sam", "CellposeSAM"),
        "sam": ("napari_biofm.images.prompt.sam", "SAM"),
        "mobile-sam": ("napari_biofm.images.prompt.mobile_sam", "MobileSAM"),
        "embedded": ("napari_biofm.images.segment.embedded.model", "EmbeddedModel"),
    }
)


def make_model(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> Any:
    """Return a model, kept warm in the process that calls.

    Parameters
    ----------
    name : name in `FAMILIES`, a registered or imported model (`napari-biofm models list`), or the path
        of a weights file.
    device : "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    ModelError
        If there is no such model, or its weights are absent, damaged or of no known family.
    """
    key = str(name)
    if key in FAMILIES:
        family = FAMILIES[key]
        return keep((key, device), lambda: _make(family, device))
    weights = _weights(key)
    return keep((weights.sha256, device), lambda: _from_weights(weights, device))


def _make(family: Family, device: str) -> Any:
    maker = getattr(importlib.import_module(family.module), family.attribute)
    if not family.needs_weights:
        return maker()
    from napari_biofm.models.device import pick_device

    return maker(device=pick_device(device))


def _weights(name: str) -> Weights:
    from napari_biofm.models.store import resolve

    try:
        return resolve(name)
    except ModelError as error:
        raise ModelError(f"{error} (built in, without a download: {', '.join(FAMILIES)})") from error


def _from_weights(weights: Weights, device: str) -> Any:
    from napari_biofm.models.checkpoints import open_checkpoint
    from napari_biofm.models.device import pick_device

    family = weights.family or open_checkpoint(weights.path).family
    if family not in ADAPTERS:
        raise ModelError(f"{weights.path.name} holds weights of family '{family}', which cannot be run here.")
    module, attribute = ADAPTERS[family]
    return getattr(importlib.import_module(module), attribute)(weights.path, device=pick_device(device))
