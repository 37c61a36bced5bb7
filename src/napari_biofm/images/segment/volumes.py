"""Z-stacks and time series through a network for planes.

"stitch" passes every plane and joins masks of neighbours that overlap; "flows" passes the planes of all
three orientations, adds up their flows and finds objects in 3D; "time" leaves every frame by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.normalization import is_blank
from napari_biofm.images.protocols import Box, StackOptions
from napari_biofm.images.segment.cellpose_api import normalise, resize_volume, stitch_planes
from napari_biofm.types import Labels, SegmentationParameters, Task

FlowMaps = tuple[NDArray[np.float32], NDArray[np.float32]]
_NO_CELL = np.float32(-1e4)  # a logit that no threshold lets through


class PlaneMaps(Protocol):
    """What a network says of one plane: flows (2, Y, X) and cell probabilities (Y, X)."""

    @property
    def flows(self) -> NDArray[np.float32]: ...

    @property
    def cell_prob(self) -> NDArray[np.float32]: ...


class PlaneNetwork(Protocol):
    """A network for planes and how its flows are followed; `CellposeSAM` is one."""

    def rescale(self, parameters: SegmentationParameters) -> float: ...

    def run(
        self,
        pixels: NDArray[np.float32],
        parameters: SegmentationParameters,
        viewport: Box | None = None,
        features: bool | None = None,
        normalised: bool = False,
        plane: tuple[int, int] = (0, 1),
    ) -> Task[PlaneMaps]: ...

    def follow(
        self, flows: NDArray[np.float32], cell_prob: NDArray[np.float32], parameters: SegmentationParameters
    ) -> Labels: ...


def stack_maps(
    model: PlaneNetwork,
    pixels: NDArray[np.float32],
    parameters: SegmentationParameters,
    options: StackOptions,
    normalised: bool = False,
) -> Task[FlowMaps]:
    """Return flows (2 or 3, Z, Y, X) and cell probabilities (Z, Y, X) of a stack (Z, Y, X, C)."""
    if options.mode == "flows":
        maps = yield from _three_ways(model, pixels, parameters, options.anisotropy, normalised)
    else:
        together = options.mode == "stitch" or normalised
        maps = yield from _planes(model, pixels, parameters, together, normalised)
    return maps


def stack_masks(
    model: PlaneNetwork,
    flows: NDArray[np.float32],
    cell_prob: NDArray[np.float32],
    parameters: SegmentationParameters,
    options: StackOptions,
) -> Labels:
    """Make the masks of a stack, (Z, Y, X), from its flows."""
    if options.mode == "flows":
        return model.follow(flows, cell_prob, parameters)
    if options.mode == "stitch":  # small pieces go only after they had a chance to be joined
        pieces = replace(parameters, min_size=-1)
        planes = [model.follow(flows[:, z], cell_prob[z], pieces) for z in range(len(cell_prob))]
        return stitch_planes(np.stack(planes), options.stitch_threshold, parameters.min_size)
    frames, highest = [], 0
    for t in range(len(cell_prob)):
        masks = model.follow(flows[:, t], cell_prob[t], parameters)
        frames.append(np.where(masks > 0, masks + highest, 0))
        highest += int(masks.max())
    return np.stack(frames).astype(np.int32)


def _planes(
    model: PlaneNetwork,
    pixels: NDArray[np.float32],
    parameters: SegmentationParameters,
    together: bool,
    normalised: bool,
) -> Task[FlowMaps]:
    """Pass every plane by itself; `together` normalises the stack as one, as Cellpose does."""
    source = normalise(pixels) if together and not normalised else pixels
    shape = pixels.shape[:3]
    flows, cell_prob = np.zeros((2, *shape), np.float32), np.full(shape, _NO_CELL, np.float32)
    for z in range(shape[0]):
        if is_blank(pixels[z]):
            continue
        maps = yield from model.run(source[z], parameters, None, False, together, (z, shape[0]))
        flows[:, z], cell_prob[z] = maps.flows, maps.cell_prob
    return flows, cell_prob


def _three_ways(
    model: PlaneNetwork,
    pixels: NDArray[np.float32],
    parameters: SegmentationParameters,
    anisotropy: float,
    normalised: bool,
) -> Task[FlowMaps]:
    """Pass YX, ZY and ZX planes of an isotropic volume and add up their flows."""
    depth, height, width = pixels.shape[:3]
    rescale = model.rescale(parameters)
    scaled = (
        max(1, int(depth * anisotropy * rescale)),
        max(1, int(height * rescale)),
        max(1, int(width * rescale)),
    )
    volume = pixels if normalised else normalise(pixels)
    if scaled != pixels.shape[:3]:
        volume = resize_volume(volume, scaled)
    plain = replace(parameters, diameter=None)
    total = np.zeros((4, *scaled), np.float32)
    number = 0
    # for each orientation: the axis it is cut across, and the axes that are the plane's y and x
    for across, (down, along) in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
        slices = np.moveaxis(volume, across, 0)
        for position in range(scaled[across]):
            plane = np.ascontiguousarray(slices[position])
            maps = yield from model.run(plane, plain, None, False, True, (number, sum(scaled)))
            where = tuple(position if axis == across else slice(None) for axis in range(3))
            total[(down, *where)] += maps.flows[0]
            total[(along, *where)] += maps.flows[1]
            total[(3, *where)] += maps.cell_prob
            number += 1
    if scaled != pixels.shape[:3]:
        back = resize_volume(np.ascontiguousarray(np.moveaxis(total, 0, -1)), (depth, height, width))
        total = np.moveaxis(back, -1, 0)
    return np.ascontiguousarray(total[:3]), np.ascontiguousarray(total[3])
