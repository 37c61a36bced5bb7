"""How the motion of a movie is measured, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.types import ImageError

Mode = Literal["rigid", "piecewise"]


@dataclass(frozen=True)
class MotionSettings:
    """How motion is measured.

    Attributes
    ----------
    mode : "rigid" moves whole frames, "piecewise" blocks of them, with a smooth field between their centres.
    most : largest shift of a frame along an axis that is looked for, pixels.
    block : side of a block, pixels; blocks overlap by half.
    most_in_block : largest shift of a block beside that of its frame, pixels.
    template_frames : from the whole movie, of which the template is made.
    """

    mode: Mode = "rigid"
    most: float = 30.0
    block: int = 96
    most_in_block: float = 5.0
    template_frames: int = 200

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ImageError(f"mode is {self.mode!r}; choose one of {', '.join(get_args(Mode))}")
        if self.most <= 0 or self.block < 16 or self.most_in_block <= 0 or self.template_frames < 2:
            raise ImageError(
                "shifts must be above 0 pixels, blocks at least 16, the template of 2 frames or more"
            )


@dataclass(frozen=True, eq=False)
class Motion:
    """How far each frame of a movie had moved.

    Attributes
    ----------
    shifts : (T, 2) float32, y and x pixels by which the frame lies below and right of the template.
    blocks : (T, ny, nx, 2) float32, what comes to it in each block, or None where frames are moved as a whole.
    centres : rows (ny,) and columns (nx,) of the blocks' centres; empty without blocks.
    template : (Y, X) float32.
    border : pixels (top, bottom, left, right) that lie outside of the field in some frame.
    correlation : of frames with the template, before and after, median over some frames.
    crispness : norm of the gradient of the mean picture, before and after, after over before being above 1 where the
        mean became sharper (Pnevmatikakis & Giovannucci, J. Neurosci. Methods 291:83, 2017).
    settings : with which it was measured.
    """

    shifts: NDArray[np.float32]
    blocks: NDArray[np.float32] | None
    centres: tuple[NDArray[np.float32], NDArray[np.float32]]
    template: NDArray[np.float32]
    border: tuple[int, int, int, int]
    correlation: tuple[float, float]
    crispness: tuple[float, float]
    settings: MotionSettings

    def in_words(self) -> str:
        """Return what was found in a sentence."""
        far = float(np.hypot(*np.ptp(self.shifts, axis=0)))
        (a, b), (c, d) = self.correlation, self.crispness
        return (
            f"The field moved by up to {far:.1f} pixels. Correlation of frames with the mean {a:.3f} before, {b:.3f} "
            f"after; crispness of the mean {c:.4g} before, {d:.4g} after; {max(self.border)} pixels of border are outside "
            "in some frame."
        )

    def save(self, path: Path) -> None:
        """Write shifts, template and metrics as `.npz`, whole or not at all.

        Parameters
        ----------
        path : of the file.
        """
        arrays: dict[str, Any] = {
            "shifts": self.shifts, "template": self.template, "border": np.array(self.border),
            "correlation": np.array(self.correlation), "crispness": np.array(self.crispness),
            "centre_rows": self.centres[0], "centre_columns": self.centres[1],
        }  # fmt: skip
        if self.blocks is not None:
            arrays["blocks"] = self.blocks
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
