"""What models can do beyond the basics of `types`: one small Protocol for each flag of `Capabilities`.

Ask with the functions at the end, which also tell the type checker: `if segments_stacks(model): ...`. A model is
believed what its `capabilities` say; a test compares them with its class.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from napari_biofm.models.device import Estimate
from napari_biofm.types import (
    FeatureMap,
    Image,
    Labels,
    Model,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
    Vectors,
)

Box = tuple[int, int, int, int]  # y0, x0, y1, x1 in pixels, the ends excluded
Limits = NDArray[np.float64]  # (C, 2) intensities that become 0 and 1
StackMode = Literal["stitch", "flows", "time"]


@dataclass(frozen=True)
class StackOptions:
    """How planes become objects.

    Attributes
    ----------
    mode : "stitch" joins masks of neighbouring planes, "flows" finds objects in 3D, "time" leaves every frame by
        itself.
    anisotropy : size of a voxel in z over its size in x; used by "flows".
    stitch_threshold : intersection over union at which masks of two planes are one object.
    """

    mode: StackMode = "stitch"
    anisotropy: float = 1.0
    stitch_threshold: float = 0.25


class StackSegmenter(Segmenter, Protocol):
    """`stacks`: z-stacks and time series (Z, Y, X) or (Z, Y, X, C), 3D flows included."""

    def segment_stack(
        self,
        stack: NDArray[Any],
        parameters: SegmentationParameters,
        mode: StackMode = "stitch",
        anisotropy: float = 1.0,
        stitch_threshold: float = 0.25,
        limits: Limits | None = None,
    ) -> Task[Segmentation]:
        """Segment a stack; `limits` (C, 2) are the intensities that become 0 and 1."""
        ...


class ViewportSegmenter(Segmenter, Protocol):
    """`viewport`: begins with a part of the image."""

    def segment(
        self, image: Image, parameters: SegmentationParameters, viewport: Box | None = None
    ) -> Task[Segmentation]:
        """Segment an image, from `viewport` (y0, x0, y1, x1 in pixels) outward."""
        ...


class LimitedSegmenter(Segmenter, Protocol):
    """`limits`: sees parts of a larger image on one scale of intensity."""

    def segment(
        self, image: Image, parameters: SegmentationParameters, *, limits: Limits | None = None
    ) -> Task[Segmentation]:
        """Segment a part of an image; `limits` (C, 2) are the intensities that become 0 and 1."""
        ...


class Remasker(Model, Protocol):
    """`remasks`: makes the masks again from flows that were kept; no network runs."""

    def remask(self, segmentation: Segmentation, parameters: SegmentationParameters) -> Segmentation:
        """Return the segmentation with masks by other thresholds."""
        ...


class Estimator(Model, Protocol):
    """`estimates`: tiles, seconds and bytes for `planes` images of a (Y, X) shape, before they are run."""

    def estimate(
        self, shape: Sequence[int], parameters: SegmentationParameters | None = None, planes: int = 1
    ) -> Estimate:
        """Return what a job will take."""
        ...


class PassKeeper(Model, Protocol):
    """`keeps_passes`: keeps finished tiles on disk from now on."""

    def keep_passes(self) -> None:
        """Keep finished tiles from now on."""
        ...


class CellPooler(Model, Protocol):
    """`vectors`: one vector per label of masks (Y, X), in rising order of label, from its own feature map."""

    def vectors(self, features: FeatureMap, masks: Labels) -> Vectors:
        """Return (n_cells, d) float32."""
        ...


class CropEncoder(Protocol):
    """`crops`: single-cell crops -> vectors. Also what is no network has it, e.g. measures of shape.

    `crop_parts` are the columns of each part of a vector, in their order; empty where it is one part.
    """

    name: str

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights; empty without any."""
        ...

    @property
    def crop_parts(self) -> tuple[int, ...]:
        """Columns of each part of a vector."""
        ...

    def crop_vectors(self, crops: NDArray[Any]) -> Vectors:
        """Return (N, d) float32 for crops (N, Y, X[, C]); a crop's vector depends on no other crop."""
        ...


class MaskFollower(Model, Protocol):
    """`propagates`: carries masks of a plane through the following planes or frames."""

    def carry(
        self, stack: NDArray[Any], masks: Mapping[int, NDArray[np.bool_]]
    ) -> Generator[dict[int, tuple[NDArray[np.bool_], float]], None, None]:
        """Yield mask (Y, X) and score by id for plane 1, 2, ... of (n, Y, X[, C]); `masks` are those of plane 0."""
        ...


def segments_stacks(model: Model) -> TypeGuard[StackSegmenter]:
    """Whether a model has a way of its own for stacks."""
    return model.capabilities.stacks


def begins_anywhere(model: Model) -> TypeGuard[ViewportSegmenter]:
    """Whether a model can begin with a part of the image."""
    return model.capabilities.viewport


def takes_limits(model: Model) -> TypeGuard[LimitedSegmenter]:
    """Whether a model takes limits of intensity."""
    return model.capabilities.limits


def remasks(model: Model) -> TypeGuard[Remasker]:
    """Whether a model makes masks from flows by a recipe of its own."""
    return model.capabilities.remasks


def estimates(model: Model) -> TypeGuard[Estimator]:
    """Whether a model predicts time and memory."""
    return model.capabilities.estimates


def keeps_passes(model: Model) -> TypeGuard[PassKeeper]:
    """Whether a model can keep finished tiles on disk."""
    return model.capabilities.keeps_passes


def pools_cells(model: Model) -> TypeGuard[CellPooler]:
    """Whether a model pools vectors of cells by a recipe of its own."""
    return model.capabilities.vectors
