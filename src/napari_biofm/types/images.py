"""What segmentation takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types.arrays import Labels
from napari_biofm.types.errors import ImageError


@dataclass(frozen=True)
class SegmentationParameters:
    """What a user may set before or after the network has run.

    Attributes
    ----------
    diameter : mean cell diameter in pixels; None lets the model estimate it.
    flow_threshold : largest mean squared flow error a mask may have; 0 keeps all.
    cellprob_threshold : logit above which a pixel belongs to a cell.
    min_size : smallest object kept, in pixels.
    relative_size : smallest object kept, as a share of the image's usual object; 0 keeps all, also the specks of a field
        that holds nothing else.
    least_contrast : how far an object has to stand above its ground, in units of what the ground itself varies by over
        patches of its size; noise reaches 7. 0 keeps all.
    normalise : percentiles (low, high) of the intensities of each channel that become 0 and 1 for the model; None leaves
        it to the model.

    Raises
    ------
    ImageError
        If `normalise` is not two numbers with 0 <= low < high <= 100.
    """

    diameter: float | None = None
    flow_threshold: float = 0.4
    cellprob_threshold: float = 0.0
    min_size: int = 15
    relative_size: float = 0.05
    least_contrast: float = 8.0
    normalise: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.normalise is not None:  # a list where it comes from a file
            object.__setattr__(self, "normalise", as_percentiles(self.normalise))


def as_percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return percentiles of intensities, lower and upper.

    Parameters
    ----------
    values : two numbers, 0 <= low < high <= 100.

    Raises
    ------
    ImageError
        If they are not.
    """
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise ImageError(
            f"normalise = {values!r}: give two percentiles, low and high, with 0 <= low < high <= 100"
        )
    return low, high


@dataclass(frozen=True)
class FeatureMap:
    """Per-position features of one image.

    Attributes
    ----------
    data : (C, h, w) float16 or float32; position (i, j) stands for the image pixels around
        ((i + 0.5) * stride, (j + 0.5) * stride).
    stride : image pixels per feature position.
    shape : (Y, X) of the image the map belongs to.
    model : name of the encoder.
    origin : where in the image the map begins, pixels; not (0, 0) for a part that was cut out.
    """

    data: NDArray[np.floating[Any]]
    stride: float
    shape: tuple[int, int]
    model: str
    origin: tuple[int, int] = (0, 0)

    def cut(self, start: Sequence[int], stop: Sequence[int]) -> FeatureMap:
        """Return the part over the pixels from `start` to `stop` (y, x) of this map's image.

        Pooling masks cut out in the same way gives what pooling the whole map gives.
        """
        begin = tuple(a + o for a, o in zip(start, self.origin, strict=True))
        end = tuple(b + o for b, o in zip(stop, self.origin, strict=True))
        parts = []
        for a, b, o, n in zip(begin, end, self.origin, self.data.shape[1:], strict=True):
            first = int(o / self.stride)
            parts.append(
                slice(min(int(a / self.stride) - first, n - 1), int((b - 0.5) / self.stride) + 1 - first)
            )
        data = np.ascontiguousarray(self.data[:, parts[0], parts[1]])
        shape = (end[0] - begin[0], end[1] - begin[1])
        return FeatureMap(data, self.stride, shape, self.model, (begin[0], begin[1]))

    def positions(self, pixels: NDArray[Any], axis: int, offset: float = 0.0) -> NDArray[np.intp]:
        """Return the row (`axis` 0) or column (1) of `data` that each pixel row or column lies in.

        Parameters
        ----------
        pixels : counted from the origin of the map.
        offset : of the point of a pixel that counts, 0.5 for its middle.
        """
        first = int(self.origin[axis] / self.stride)
        at = ((pixels + (self.origin[axis] + offset)) / self.stride).astype(np.intp) - first
        return np.minimum(at, self.data.shape[1 + axis] - 1)


@dataclass(frozen=True)
class Segmentation:
    """The products of one pass over an image.

    Attributes
    ----------
    masks : (Y, X) or (Z, Y, X) int32 instance labels, 1..n, 0 is background.
    flows : (2, Y, X) float32 or None; unit-less flow to the cell centre (y, x), Cellpose convention.
    cell_prob : (Y, X) float32 logits or None.
    features : feature map of the same pass, or None.
    diameter : diameter used, pixels, or None where the method has none.
    provenance : model name, weights_sha256, device, parameters, versions; JSON-able.
    """

    masks: Labels
    flows: NDArray[np.float32] | None = None
    cell_prob: NDArray[np.float32] | None = None
    features: FeatureMap | None = None
    diameter: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
