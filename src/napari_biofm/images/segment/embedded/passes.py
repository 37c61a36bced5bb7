"""One pass of the network over one image: find the scale, run tile by tile, put the tiles together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded.tiled_inference import (
    GRID,
    Piece,
    Window,
    as_input,
    at,
    inner,
    run_tiled,
    tiles,
)
from napari_biofm.types import Progress, Task

if TYPE_CHECKING:
    from torch import Tensor

    from napari_biofm.images.segment.embedded.network import Network

Float = NDArray[np.float32]
Half = NDArray[np.float16]
# network pixels that are taken in hand at once (level by level, without seams), and what a part of a larger canvas
# sees around them
CORE, MARGIN = 2240, 160
# network pixels of background laid around the image: the network learned that cells end where it begins
RIM = 16
OVERVIEW = 320  # longest side, in network pixels, of the picture from which the scale is read first
RELIABLE = (11.0, 44.0)  # diameters in network pixels at which the scale head is trusted
LARGEST_ZOOM = 2.0
# enlarging by less costs up to half as much again and brings masks nothing on training pictures
LEAST_ENLARGED = 1.25
# A close look is believed against the overview, which sees clumps of small cells as large cells, where its cells are this
# many times smaller and it is not much less sure: in texture and noise of large cells it sees small ones too. Chosen on
# training pictures, enlarged or tiled to some 2,000 pixels.
CLUMPS, LEAST_EVIDENCE = 2.25, 0.06
HEAD_BIAS = 1.14  # what is read is this much too large, on training pictures


@dataclass(frozen=True)
class Pass:
    """What the network says about one image, on its own canvas of `zoom` network pixels per image pixel.

    Attributes
    ----------
    flow : (2, H, W) float32. cell_prob : (H, W) float32 logits.
    decoded : (C, H/2, W/2) float16 features for the mask decoder, or None.
    vector_map : (V + P, H/4, W/4) float16: features to pool vectors from, then the input planes; empty in a pass
    for clicks.
    zoom : network pixels per image pixel. shape : (Y, X) of the image. diameter : image pixels.
    """

    flow: Float
    cell_prob: Float
    decoded: NDArray[np.float16] | None
    vector_map: NDArray[np.float16]
    zoom: tuple[float, float]
    shape: tuple[int, int]
    diameter: float | None

    def without_flow(self) -> Pass:
        """Return the pass less flow and cell probability, once they were brought to image size."""
        none = np.zeros((0, 0), np.float32)
        return replace(self, flow=none[None], cell_prob=none)

    def outline(self) -> Pass:
        """Return what tells where the canvas lies on the image, and nothing of what was found on it."""
        return replace(self.without_flow(), decoded=None, vector_map=np.zeros((0, 0, 0), np.float16))

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the image on the canvas, without padding."""
        return round(self.shape[0] * self.zoom[0]), round(self.shape[1] * self.zoom[1])


def resize(array: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, Y, X) bilinearly, averaging where it gets smaller."""
    from torch.nn import functional as F  # noqa: N812

    if tuple(array.shape[-2:]) == size:
        return array
    smaller = size[0] < array.shape[-2] or size[1] < array.shape[-1]
    return F.interpolate(array, size, mode="bilinear", align_corners=False, antialias=smaller)


def as_tensor(planes: Float) -> Tensor:
    """(P, Y, X) planes -> (1, P, Y, X) tensor; three equal planes travel as one."""
    import torch

    one = planes.strides[0] == 0
    return torch.from_numpy(np.array(planes[:1] if one else planes))[None]


def to_canvas(planes: Tensor, zoom: float) -> Tensor:
    """Resize to network pixels and lay background around it, up to the grid; (1, P, H, W), image at (RIM,
    RIM).
    """
    from torch.nn import functional as F  # noqa: N812

    size = tuple(max(1, round(n * zoom)) for n in planes.shape[-2:])
    scaled = resize(planes, (size[0], size[1]))
    below, right = (RIM + -(n + 2 * RIM) % GRID for n in size)
    return F.pad(scaled, (RIM, right, RIM, below))


def typical_diameter(masks: NDArray[Any]) -> float | None:
    """Return the median diameter of labels as `Reading` counts it; None without labels."""
    _, areas = np.unique(masks[masks > 0], return_counts=True)
    diameters = np.sort(np.sqrt(areas * 4 / np.pi))
    return _weighted_median(diameters, diameters) if len(diameters) else None


def _weighted_median(ordered: NDArray[Any], weights: NDArray[Any]) -> float:
    """Return the first of the rising values (n,) up to which half of the weights (n,) lie."""
    share = np.cumsum(weights)
    return float(ordered[np.searchsorted(share, share[-1] / 2)])


@dataclass(frozen=True)
class Reading:
    """What the scale head says of one canvas.

    Attributes
    ----------
    diameter : median of the cells in network pixels, each counting by its diameter, so that debris does not make it;
    None without cells.
    usual : median over all pixels in cells, where small ones count even less.
    evidence : mean over the canvas of the cell probability (logits) above 0.
    """

    diameter: float | None
    usual: float = np.inf
    evidence: float = 0.0


def read_scale(network: Network, canvas: Tensor, device: str) -> Reading:
    """Read the diameter of the cells on `canvas`."""
    import torch

    with torch.inference_mode():
        levels = network.encode(as_input(canvas, network.architecture.planes, device))
        _, cell_prob, log_diameter, _ = network.decode(levels)
    inside = torch.nn.functional.max_pool2d(cell_prob, 4)[0, 0].cpu().numpy() > 0
    octaves = np.sort(log_diameter[0, 0].cpu().numpy()[inside].astype(np.float64))
    if octaves.size < 3:
        return Reading(None)
    median = 2.0 ** _weighted_median(octaves, 2.0**-octaves)  # a cell's pixels grow with its diameter squared
    usual = 2.0 ** np.median(octaves)
    return Reading(median, float(usual), float(cell_prob.clamp(min=0).mean()))


def estimate_diameter(network: Network, planes: Tensor, canonical: float, device: str) -> float | None:
    """Estimate the median cell diameter in image pixels from the image alone.

    An overview of the whole picture is read first. Where its cells come out too small or too large to be trusted,
    the busiest part is read again at the scale the first reading suggests.
    """
    longest = max(planes.shape[-2:])
    zoom = min(1.0, OVERVIEW / longest)
    overview = read_scale(network, to_canvas(planes, zoom), device)
    found = overview.diameter
    if found is not None and zoom < 0.6:  # cells may be too small for it, and clumps of them look like cells
        near = read_scale(network, to_canvas(busiest(planes, OVERVIEW), 1.0), device)
        if saw_clumps(overview, near, zoom):
            found, zoom = near.diameter, 1.0
    for _ in range(2):  # at most two closer looks
        if found is None:
            if zoom == 1.0:
                return None
            suggested = min(1.0, 2.5 * zoom)
        elif RELIABLE[0] <= found <= RELIABLE[1]:
            break
        else:
            suggested = float(np.clip(zoom * canonical / found, 0.05, LARGEST_ZOOM))
        if abs(np.log2(suggested / zoom)) < 0.1:
            break
        zoom = suggested
        closer = read_scale(network, to_canvas(busiest(planes, OVERVIEW / zoom), zoom), device)
        found = closer.diameter or found
    return None if found is None else found / zoom / HEAD_BIAS


def saw_clumps(overview: Reading, near: Reading, zoom: float) -> bool:
    """Tell whether the cells of the overview, at `zoom`, are clumps of those seen near, at 1."""
    if overview.diameter is None or near.usual >= RELIABLE[1]:
        return False
    sure = near.evidence > LEAST_EVIDENCE * overview.evidence
    return sure and overview.diameter / zoom > CLUMPS * near.usual


def busiest(planes: Tensor, span: float) -> Tensor:
    """Cut the window of about `span` image pixels with the most structure in it."""
    from torch.nn import functional as F  # noqa: N812

    height, width = planes.shape[-2:]
    side = int(max(GRID, span))
    if side >= height and side >= width:
        return planes
    grey = planes.mean(1, keepdim=True)
    coarse = F.adaptive_avg_pool2d(
        (grey - F.avg_pool2d(F.avg_pool2d(grey, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))).abs(),
        (min(32, height), min(32, width)),
    )
    rows, columns = coarse.shape[-2:]
    high, wide = (
        min(rows, max(1, round(rows * side / height))),
        min(columns, max(1, round(columns * side / width))),
    )
    total = F.avg_pool2d(coarse, (high, wide), 1)[0, 0]
    y, x = divmod(int(total.argmax()), total.shape[1])
    y0, x0 = min(y * height // rows, max(0, height - side)), min(x * width // columns, max(0, width - side))
    return planes[..., y0 : y0 + side, x0 : x0 + side]


def run_pass(
    network: Network,
    planes: Float,
    diameter: float | None,
    settings: Mapping[str, Any],
    device: str = "cpu",
    keep_decoded: bool = False,
    core: int = CORE,
) -> Task[Pass]:
    """Run the network over `planes` (P, Y, X), tile by tile.

    Parameters
    ----------
    diameter : cell diameter in image pixels; None to estimate it.
    settings : `canonical` (network pixels per diameter) and `smallest_zoom`, from the weights' description.
    keep_decoded : keep the features the mask decoder reads, and no vector map.
    """
    import torch

    image = as_tensor(planes)
    canonical = float(settings["canonical"])
    if diameter is None:
        yield Progress(0, 1, "estimating the cell diameter")
        diameter = estimate_diameter(network, image, canonical, device)
    zoom = zoom_for(diameter, settings, fully=keep_decoded)
    canvas = to_canvas(image, zoom)
    del image
    height, width = canvas.shape[-2:]
    arch = network.architecture
    dense = np.zeros((3, height, width), np.float32)
    decoded = np.zeros((arch.widths[0], height // 2, width // 2), np.float16) if keep_decoded else None
    vectors = None
    if not keep_decoded:
        vectors = np.zeros((arch.vector + arch.planes, height // 4, width // 4), np.float16)
    plan = tiles(height, width, core, MARGIN)
    for index, (seen, own) in enumerate(plan):
        for piece in run_tiled(network, canvas[..., *seen], device, not keep_decoded):
            if piece.window is not None:
                _place(piece, seen, own, dense, vectors, decoded)
            yield Progress(round(100 * (index + piece.share)), 100 * len(plan), "network")
    if vectors is not None:
        small = torch.nn.functional.avg_pool2d(canvas, 4)[0]
        vectors[arch.vector :] = small.expand(arch.planes, -1, -1).numpy()
        vectors = vectors[:, RIM // 4 :, RIM // 4 :]
    dense = dense[:, RIM:, RIM:]
    decoded = None if decoded is None else decoded[:, RIM // 2 :, RIM // 2 :]
    shape = (planes.shape[1], planes.shape[2])
    size = [max(1, round(n * zoom)) for n in shape]
    exact = (size[0] / shape[0], size[1] / shape[1])
    found = Pass(dense[:2], dense[2], decoded, np.zeros((0, 0, 0), np.float16), exact, shape, diameter)
    return found if vectors is None else replace(found, vector_map=vectors)


def zoom_for(diameter: float | None, settings: Mapping[str, Any], fully: bool = False) -> float:
    """Network pixels per image pixel for cells of `diameter` image pixels; 1 where the diameter is not
    known, and where cells would be enlarged little, unless `fully` (corrections by clicks need the detail).
    """
    if diameter is None:
        return 1.0
    low, high = settings["working"]
    working = float(np.clip(diameter, low, high)) if settings["keep_native"] else float(settings["canonical"])
    zoom = float(np.clip(working / diameter, 0.02, LARGEST_ZOOM))
    return 1.0 if 1.0 < zoom < LEAST_ENLARGED and not fully else zoom


def _place(
    piece: Piece, seen: Window, own: Window, dense: Float, vectors: Half | None, decoded: Half | None
) -> None:
    """Put what a piece says of `own` on the canvas; the rest of it belongs to a neighbour."""
    assert piece.window is not None and piece.flow is not None and piece.cell_prob is not None
    there = tuple(slice(p.start + s.start, p.stop + s.start) for p, s in zip(piece.window, seen, strict=True))
    rows, columns = (
        slice(max(t.start, o.start), max(t.start, o.start, min(t.stop, o.stop)))
        for t, o in zip(there, own, strict=True)
    )
    to, of = (rows, columns), inner((there[0], there[1]), (rows, columns), 1)
    dense[:2, *to] = piece.flow[:, *of].float().cpu().numpy()
    dense[2][to] = piece.cell_prob[of].float().cpu().numpy()
    for target, values, stride in ((vectors, piece.vector_map, 4), (decoded, piece.decoded, 2)):
        if target is not None and values is not None:
            target[: len(values), *at(to, stride)] = values[:, *at(of, stride)].half().cpu().numpy()


def at_image_size(found: Pass) -> tuple[Float, Float]:
    """Bring flow and cell probability to image pixels: (2, Y, X) and (Y, X) float32."""
    import torch

    height, width = found.inner
    out = [
        resize(torch.from_numpy(part[:, :height, :width])[None], found.shape)[0].numpy()
        for part in (found.flow, found.cell_prob[None])
    ]
    return np.ascontiguousarray(out[0]), np.ascontiguousarray(out[1][0])
