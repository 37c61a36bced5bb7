"""What models can do with images: segment them, embed them, answer clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types.arrays import Image
from napari_biofm.types.images import FeatureMap, Segmentation, SegmentationParameters
from napari_biofm.types.tasks import Task


@dataclass(frozen=True)
class Capabilities:
    """What a model can do; each model carries one, and the catalogue has it without importing the model.

    For every flag but the plain facts there is a Protocol: the first three in this module, the others in
    `images/protocols.py`, with a function that tells the type checker (`if segments_stacks(model): ...`).

    Attributes
    ----------
    segments : finds all cells of an image (`Segmenter`).
    embeds : gives a feature map of an image (`Embedder`).
    clicks : answers points, boxes and masks (`Promptable`).
    stacks : has a way of its own for z-stacks and time series, 3D flows included.
    viewport : can begin with a part of the image, e.g. what is visible.
    limits : takes limits of intensity, so that parts of a larger image are seen on one scale.
    flows : a fact: its segmentations hold flows and cell probabilities, from which masks can be made again.
    remasks : makes masks from kept flows by a recipe of its own.
    feature_map : a fact: its segmentations hold a feature map.
    estimates : predicts time and memory before it runs.
    keeps_passes : can keep finished tiles on disk, so that a stopped pass goes on where it was.
    vectors : pools vectors of cells from its feature map by a recipe of its own.
    crops : gives vectors of single cells cut from their image.
    propagates : carries masks of a plane through the following ones.
    """

    segments: bool = False
    embeds: bool = False
    clicks: bool = False
    stacks: bool = False
    viewport: bool = False
    limits: bool = False
    flows: bool = False
    remasks: bool = False
    feature_map: bool = False
    estimates: bool = False
    keeps_passes: bool = False
    vectors: bool = False
    crops: bool = False
    propagates: bool = False


@runtime_checkable
class Model(Protocol):
    """What every model tells of itself: its name, the SHA-256 of its weights ("" without any), what it can do."""

    name: str

    @property
    def weights_sha256(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...


@runtime_checkable
class Segmenter(Model, Protocol):
    """Pixels -> instance masks (and, where the network gives them, flows and features)."""

    def segment(self, image: Image, parameters: SegmentationParameters) -> Task[Segmentation]: ...


@runtime_checkable
class Embedder(Model, Protocol):
    """Pixels -> feature map, from which one vector per cell is pooled."""

    def embed(self, image: Image) -> Task[FeatureMap]: ...


@dataclass(frozen=True)
class Prompt:
    """What a user says about one object, in image pixels.

    Attributes
    ----------
    points : (n, 2) float y, x.
    positive : (n,) bool; True = inside the object.
    box : (y0, x0, y1, x1) or None.
    mask : (Y, X) bool, the mask to refine, or None.
    """

    points: NDArray[np.float64]
    positive: NDArray[np.bool_]
    box: tuple[float, float, float, float] | None = None
    mask: NDArray[np.bool_] | None = None


P = TypeVar("P")  # what a promptable model prepares of an image


@runtime_checkable
class Promptable(Model, Protocol[P]):
    """Clicks -> mask. `prepare` runs the encoder once; `predict` is called at every click."""

    def prepare(self, image: Image) -> Task[P]: ...

    def predict(self, prepared: P, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n_alternatives, Y, X), best first, and their scores (predicted IoU)."""
        ...
