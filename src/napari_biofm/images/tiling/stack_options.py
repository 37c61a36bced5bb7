"""How the planes of a stack become objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StackMode = Literal["stitch", "flows", "time"]


@dataclass(frozen=True)
class StackOptions:
    """How planes become objects.

    Attributes
    ----------
    mode : "stitch", "flows" or "time".
    anisotropy : size of a voxel in z over its size in x; used by "flows".
    stitch_threshold : intersection over union at which masks of two planes are one object.
    """

    mode: StackMode = "stitch"
    anisotropy: float = 1.0
    stitch_threshold: float = 0.25
