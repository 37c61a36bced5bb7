"""The models there are, by name, and what each can do; nothing is imported or loaded before it is made.

To add one: write its class behind a Protocol of `types` (with `capabilities`, and those of `images.protocols`
where it can do more) in a file of its own, and name it in `FAMILIES`, or in `ADAPTERS` where it runs weights from
a file; in `OTHER_PROGRAMS` where it takes a package that may not be here. Classes are imported where they are made,
which is the worker.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from napari_biofm.engine.warm import keep
from napari_biofm.images.protocols import CropEncoder, MaskFollower
from napari_biofm.models import registry, store
from napari_biofm.models.store import Weights
from napari_biofm.types import Capabilities, Embedder, Model, ModelError, Promptable, Segmenter


@dataclass(frozen=True)
class Adapter:
    """Which class runs weights of a family, and what it can do.

    Attributes
    ----------
    module, attribute : where the class is.
    capabilities : those of the class.
    """

    module: str
    attribute: str
    capabilities: Capabilities


@dataclass(frozen=True)
class Family(Adapter):
    """A model that comes with the package.

    Attributes
    ----------
    title : as shown to the user.
    good_for : in plain words, shown beside the choice.
    needs_weights : whether it is made with a weights file and a device.
    licence : of the model.
    requires : package it runs in, where that is not one of ours; and the first version that no longer does.
    """

    title: str
    good_for: str
    needs_weights: bool = True
    licence: str = "BSD-3-Clause"
    requires: str = ""
    before: int | None = None

    @property
    def installed(self) -> bool:
        """Whether the package it runs in is here."""
        if not self.requires:
            return True
        if importlib.util.find_spec(self.requires) is None:
            return False
        if self.before is None:
            return True
        try:
            version = importlib.metadata.version(self.requires)
        except importlib.metadata.PackageNotFoundError:
            return False
        return int(version.split(".")[0]) < self.before


_EMBEDDED = Capabilities(
    segments=True,
    embeds=True,
    clicks=True,
    flows=True,
    remasks=True,
    feature_map=True,
    vectors=True,
    crops=True,
)
_SAM = Capabilities(segments=True, embeds=True, clicks=True, viewport=True, feature_map=True, estimates=True)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "biofm-image": Family(
            "napari_biofm.images.segment.embedded.model",
            "EmbeddedModel",
            _EMBEDDED,
            "Embedded model (in the package)",
            "Nuclei and cells in fluorescence, stained tissue and phase contrast; small and quick on any "
            "computer. See docs/models.md for where it is weak.",
        ),
        "classical": Family(
            "napari_biofm.images.segment.classical",
            "ClassicalSegmenter",
            Capabilities(segments=True, embeds=True, feature_map=True),
            "Classical (Otsu + watershed)",
            "Bright, round, separate nuclei. No network, no learning; the baseline to beat.",
            needs_weights=False,
        ),
    }
)
DEFAULT_MODEL = "biofm-image"

_OTHERS, _FINDS = "napari_biofm.images.segment.other_programs", Capabilities(segments=True)
_OWN_WEIGHTS = "The program fetches its weights itself when it is used first."
OTHER_PROGRAMS: Mapping[str, Family] = MappingProxyType(
    {
        "stardist-fluo": Family(
            _OTHERS, "StarDistFluorescence", _FINDS, "StarDist, fluorescent nuclei",
            f"Round nuclei in fluorescence, also crowded. {_OWN_WEIGHTS}",
            needs_weights=False, requires="stardist",
        ),
        "stardist-he": Family(
            _OTHERS, "StarDistTissue", _FINDS, "StarDist, stained tissue",
            f"Nuclei in H&E (red, green, blue). {_OWN_WEIGHTS}",
            needs_weights=False, requires="stardist",
        ),
        "instanseg-fluo": Family(
            _OTHERS, "InstanSegFluorescence", _FINDS, "InstanSeg, fluorescent cells",
            f"Whole cells in fluorescence with any number of channels. {_OWN_WEIGHTS}",
            licence="Apache-2.0", requires="instanseg",
        ),
        "instanseg-brightfield": Family(
            _OTHERS, "InstanSegBrightfield", _FINDS, "InstanSeg, stained tissue",
            f"Nuclei in H&E and other stains (red, green, blue). {_OWN_WEIGHTS}",
            licence="Apache-2.0", requires="instanseg",
        ),
        "cellpose3-cyto3": Family(
            _OTHERS, "Cellpose3Cells", _FINDS, "Cellpose 3, cells (cyto3)",
            f"Cells of many kinds, with nuclei as a second channel. {_OWN_WEIGHTS}", requires="cellpose", before=4,
        ),
        "cellpose3-nuclei": Family(
            _OTHERS, "Cellpose3Nuclei", _FINDS, "Cellpose 3, nuclei",
            f"Nuclei in fluorescence. {_OWN_WEIGHTS}", requires="cellpose", before=4,
        ),
    }
)  # fmt: skip


def families() -> dict[str, Family]:
    """Return the models that need no weights of ours: those of the package, and of other programs that are installed."""
    return {**FAMILIES, **{name: one for name, one in OTHER_PROGRAMS.items() if one.installed}}


# adapter of each family of weights that a registered name or a file may hold
ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "cellpose-sam": Adapter(
            "napari_biofm.images.segment.cellpose_sam",
            "CellposeSAM",
            Capabilities(
                segments=True,
                embeds=True,
                stacks=True,
                viewport=True,
                limits=True,
                flows=True,
                remasks=True,
                feature_map=True,
                estimates=True,
                keeps_passes=True,
            ),
        ),
        "sam": Adapter("napari_biofm.images.prompt.sam", "SAM", _SAM),
        "mobile-sam": Adapter("napari_biofm.images.prompt.mobile_sam", "MobileSAM", _SAM),
        "embedded": Adapter("napari_biofm.images.segment.embedded.model", "EmbeddedModel", _EMBEDDED),
        "sam2": Adapter("napari_biofm.images.prompt.sam2", "SAM2", Capabilities(propagates=True)),
        "onnx": Adapter("napari_biofm.images.segment.onnx_encoder", "OnnxEncoder", Capabilities(crops=True)),
    }
)

Can = Callable[[Capabilities], bool]


def capabilities_of(name: str | Path) -> Capabilities:
    """Return what the model of a name can do, without loading it; nothing where the name or family is unknown.

    Parameters
    ----------
    name : name in `FAMILIES`, of a registered or of an imported model.
    """
    key = str(name)
    if key in FAMILIES or key in OTHER_PROGRAMS:
        return (FAMILIES.get(key) or OTHER_PROGRAMS[key]).capabilities
    for entry in registry.entries():
        if entry.name == key:
            return capabilities_of_family(entry.family)
    own = store.imported_models().get(key)
    return capabilities_of_family(None if own is None else own.family)


def capabilities_of_family(family: str | None) -> Capabilities:
    """Return what models of a family of weights can do; nothing for a family without an adapter.

    Parameters
    ----------
    family : key of `ADAPTERS`, as the record of weights names it.
    """
    adapter = ADAPTERS.get(family or "")
    return Capabilities() if adapter is None else adapter.capabilities


def models_here(can: Can, own: bool = True) -> list[str]:
    """Return the names of models that can be used here without a download, built-in ones first.

    Parameters
    ----------
    can : which of them, e.g. `lambda c: c.clicks`.
    own : whether to name weights that the user imported, too.
    """
    found = [name for name, family in families().items() if can(family.capabilities)]
    for entry in registry.entries():
        if can(capabilities_of(entry.name)) and not entry.obstacle and store.find(entry.name) is not None:
            found.append(entry.name)
    if own:
        for name, weights in store.imported_models().items():
            if can(capabilities_of_family(weights.family)):
                found.append(name)
    return found


def make_model(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> Model:
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
    return _make(name, device, lambda _: True, "")


def make_segmenter(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> Segmenter:
    """Return a model that finds all cells of an image; see `make_model`.

    Parameters
    ----------
    name, device : as for `make_model`.

    Raises
    ------
    ModelError
        Also if the model finds no cells by itself; names those that do.
    """
    return cast(Segmenter, _make(name, device, lambda c: c.segments, "finds no cells by itself"))


def make_embedder(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> Embedder:
    """Return a model that gives feature maps; see `make_model`.

    Parameters
    ----------
    name, device : as for `make_model`.

    Raises
    ------
    ModelError
        Also if the model gives none; names those that do.
    """
    return cast(Embedder, _make(name, device, lambda c: c.embeds, "gives no feature maps"))


def make_promptable(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> Promptable[Any]:
    """Return a model that answers clicks; see `make_model`.

    Parameters
    ----------
    name, device : as for `make_model`.

    Raises
    ------
    ModelError
        Also if the model answers none; names those that do.
    """
    return cast(Promptable[Any], _make(name, device, lambda c: c.clicks, "answers no clicks"))


def make_crop_encoder(name: str | Path = DEFAULT_MODEL, device: str = "auto") -> CropEncoder:
    """Return a model that gives vectors of single cells cut from their image; see `make_model`.

    Parameters
    ----------
    name, device : as for `make_model`.

    Raises
    ------
    ModelError
        Also if the model looks at whole images only; names those that do not.
    """
    lacks = "gives no vectors of single cells cut from their image"
    return cast(CropEncoder, _make(name, device, lambda c: c.crops, lacks))


def make_follower(name: str | Path, device: str = "auto") -> MaskFollower:
    """Return a model that carries masks through planes; see `make_model`.

    Parameters
    ----------
    name, device : as for `make_model`.

    Raises
    ------
    ModelError
        Also if the model carries none; names those that do.
    """
    return cast(MaskFollower, _make(name, device, lambda c: c.propagates, "carries no masks through planes"))


def _make(name: str | Path, device: str, can: Can, lacks: str) -> Model:
    key = str(name)
    family = FAMILIES.get(key) or OTHER_PROGRAMS.get(key)
    if family is not None:
        _check(key, family.capabilities, can, lacks)
        if not family.installed:
            version = f" in a version before {family.before}" if family.before else ""
            raise ModelError(
                f"'{key}' runs in the package {family.requires}{version}, which is not installed here; "
                f"install it, or choose one of: {', '.join(models_here(can))}"
            )
        return keep((key, device), lambda: _built_in(family, device))
    weights = _weights(key)
    adapter = _adapter(weights)
    _check(key, adapter.capabilities, can, lacks)
    beside = weights.path.with_suffix(".json")  # says how they are used, so that it is part of what they are
    said = beside.read_bytes() if beside.is_file() else b""
    return keep((weights.sha256, said, device), lambda: _from_weights(adapter, weights, device))


def _check(name: str, capabilities: Capabilities, can: Can, lacks: str) -> None:
    if not can(capabilities):
        raise ModelError(f"'{name}' {lacks}; choose one of: {', '.join(models_here(can))}")


def _built_in(family: Family, device: str) -> Model:
    maker = getattr(importlib.import_module(family.module), family.attribute)
    if not family.needs_weights:
        return cast(Model, maker())
    from napari_biofm.models.device import pick_device

    return cast(Model, maker(device=pick_device(device)))


def _weights(name: str) -> Weights:
    try:
        return store.resolve(name)
    except ModelError as error:
        raise ModelError(f"{error} (built in, without a download: {', '.join(FAMILIES)})") from error


def _adapter(weights: Weights) -> Adapter:
    from napari_biofm.models.checkpoints import open_checkpoint

    family = weights.family or open_checkpoint(weights.path).family
    if family not in ADAPTERS:
        raise ModelError(f"{weights.path.name} holds weights of family '{family}', which cannot be run here.")
    return ADAPTERS[family]


def _from_weights(adapter: Adapter, weights: Weights, device: str) -> Model:
    from napari_biofm.models.device import pick_device

    maker = getattr(importlib.import_module(adapter.module), adapter.attribute)
    return cast(Model, maker(weights.path, device=pick_device(device)))
