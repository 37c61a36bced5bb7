"""SAM 2: masks of one plane or frame carried through the following ones by a network with a memory.

Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024. Runs in the package sam2, where that is installed.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Mask
from napari_biofm.images.io.normalization import as_rgb8
from napari_biofm.images.prompt import sam2_api
from napari_biofm.models import device as devices
from napari_biofm.models.checkpoints import open_checkpoint
from napari_biofm.models.store import digest
from napari_biofm.types import Capabilities, ImageError, ModelError

SIDE = 1024  # pixels of the network's input


class SAM2:
    """Carries masks through planes or frames.

    Parameters
    ----------
    weights : checkpoint of SAM 2 or 2.1, torch or safetensors.
    device : "auto", "cpu", "cuda" or "mps".
    side : pixels of the square that the network sees.
    """

    capabilities = Capabilities(propagates=True)

    def __init__(self, weights: Path | str, device: str = "auto", *, side: int = SIDE) -> None:
        self.weights = Path(weights)
        self.name = self.weights.stem
        self._device, self._side = device, side
        self._net: Any = None

    @property
    def weights_sha256(self) -> str:
        """Digest of the weights."""
        return digest(self.weights)

    def carry(
        self, stack: NDArray[Any], masks: Mapping[int, Mask]
    ) -> Generator[dict[int, tuple[Mask, float]], None, None]:
        """Yield masks and scores of every object in plane 1, 2, ... of a stack.

        Parameters
        ----------
        stack : (n, Y, X) or (n, Y, X, C), in the order of the way; other dtypes than uint8 are stretched to 8 bits,
            all planes alike.
        masks : (Y, X) of the objects in plane 0, by id.

        Yields
        ------
        dict
            Mask (Y, X), and the mean probability in it (0 where it is empty), by id.

        Raises
        ------
        ImageError
            If a mask has another shape or no pixel.
        ModelError
            If sam2 is not installed, or the network leaves a plane or an object out.
        """
        planes = np.asarray(stack)
        shape = planes.shape[1:3]
        for label, mask in masks.items():
            if mask.shape != shape or not mask.any():
                raise ImageError(f"object {label}: a mask {shape} with pixels is needed, not {mask.shape}")
        net = self._load()
        pictures = as_rgb8(planes.reshape(-1, *planes.shape[2:])).reshape(len(planes), *shape, 3)
        with closing(sam2_api.track(net, pictures, masks)) as found:
            for expected, (index, logits) in enumerate(found):
                if index != expected or set(logits) != set(masks):
                    raise ModelError(f"{self.name} left out plane {expected} or an object; report this")
                if index:  # plane 0 is what was given
                    yield {label: _read(logits[label]) for label in masks}

    def _load(self) -> Any:
        if self._net is None:
            device = devices.pick_device(self._device)
            self._net = sam2_api.build(open_checkpoint(self.weights, "sam2"), device, self._side)
        return self._net


def _read(logits: NDArray[np.float32]) -> tuple[Mask, float]:
    mask = logits > 0
    return mask, float((1 / (1 + np.exp(-logits[mask]))).mean()) if mask.any() else 0.0
