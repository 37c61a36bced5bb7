"""The network over a large picture, level by level.

Most of the work lies in the layers at strides 2 and 4, which see few pixels around a place: they go tile by
tile, with a narrow fringe. The deep layers see far and cost little: they run once, over the whole. The answer is
that of the whole picture, without seams, in the memory of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from napari_biofm.models.device import memory_format

if TYPE_CHECKING:
    from torch import Tensor

    from napari_biofm.images.segment.embedded.network import Network

Window = tuple[slice, slice]
GRID = 32  # deepest stride; canvas and tiles lie on this grid so that tiles see what the whole would
# Pixels that a fine tile sees around what it answers for; the layers at strides 2 and 4 look 28 far.
REACH = 32
SIDE = 576  # pixels a fine tile answers for: the fringe is a fifth more work, 704 would take 200 MB more


class Piece(NamedTuple):
    """A step of the work: how far it is, and, once there, what the network says of a window.

    Attributes
    ----------
    share : 0..1 of the work behind it.
    window : rows and columns of the picture, on the grid of 32, or None.
    flow : (2, h, w). cell_prob : (h, w). decoded : (C, h/2, w/2). vector_map : (V, h/4, w/4); see `Dense`.
    """

    share: float
    window: Window | None = None
    flow: Tensor | None = None
    cell_prob: Tensor | None = None
    decoded: Tensor | None = None
    vector_map: Tensor | None = None


def tiles(height: int, width: int, core: int, margin: int) -> list[tuple[Window, Window]]:
    """Cut a canvas (on the grid) into tiles of about equal size on the grid: what each sees and what it answers for.

    Parameters
    ----------
    core, margin : pixels that a tile answers for at most, and sees beyond; multiples of 32.
    """
    if height * width <= (core + 2 * margin) ** 2:
        whole = slice(0, height), slice(0, width)
        return [(whole, whole)]
    out = []
    for own_rows in _cuts(height, core):
        for own_columns in _cuts(width, core):
            own = own_rows, own_columns
            seen = tuple(
                slice(max(0, s.start - margin), min(n, s.stop + margin))
                for s, n in zip(own, (height, width), strict=True)
            )
            out.append(((seen[0], seen[1]), own))
    return out


def _cuts(length: int, core: int) -> list[slice]:
    """Cut `length` into parts of at most `core`, as equal as the grid of 32 allows."""
    cells, parts = length // GRID, -(-length // core)
    edges = [GRID * (k * cells // parts) for k in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def run_tiled(
    network: Network, canvas: Tensor, device: str, vectors: bool = True, side: int = SIDE
) -> Iterator[Piece]:
    """Run all but the mask decoder over `canvas` (1, 1 or P, Y, X); Y and X are multiples of 32.

    Encoder outputs wait in half precision for the decoder where there is more than one tile. Without `vectors`
    pieces of larger pictures have no vector map.
    """
    import torch

    from napari_biofm.images.segment.embedded.network import join_vectors

    height, width = canvas.shape[-2:]
    plan = tiles(height, width, side, REACH)
    if len(plan) == 1:
        with torch.inference_mode():
            dense = network(as_input(canvas, network.architecture.planes, device))
        whole = slice(0, height), slice(0, width)
        yield Piece(1.0, whole, dense.flow[0], dense.cell_prob[0, 0], dense.decoded[0], dense.vector_map[0])
        return
    widths, steps = network.architecture.widths, 2.5 * len(plan)
    half, quarter, eighth = (
        torch.empty(
            (1, widths[k], height // stride, width // stride),
            dtype=torch.float32 if stride == 8 else torch.float16,
            device=device,
            memory_format=memory_format(device),
        )
        for k, stride in enumerate((2, 4, 8))
    )
    for k, (seen, own) in enumerate(plan):
        with torch.inference_mode():
            found = network.encode_fine(as_input(canvas[..., *seen], network.architecture.planes, device))
            for target, values, stride in zip((half, quarter, eighth), found, (2, 4, 8), strict=True):
                target[..., *at(own, stride)] = values[..., *inner(seen, own, stride)]
        yield Piece((k + 1) / steps)
    del found, values
    with torch.inference_mode():
        coarse = network.encode_coarse(eighth)
        del eighth
        heads = [head(x) for head, x in zip(list(network.to_vector)[1:], coarse, strict=True) if vectors]
        climbed = network.decode_coarse(coarse)
    del coarse
    for k, (seen, own) in enumerate(plan):
        with torch.inference_mode():
            fine = quarter[..., *at(seen, 4)].float()
            vector_map = None
            if vectors:
                parts = [h[..., *at(seen, s)] for h, s in zip(heads, (8, 16, 32), strict=True)]
                vector_map = join_vectors([network.to_vector[0](fine), *parts])[0, :, *inner(seen, own, 4)]
            flow, cell_prob, _, decoded = network.decode_fine(
                climbed[..., *at(seen, 8)].contiguous(memory_format=memory_format(device)),
                fine,
                half[..., *at(seen, 2)].float(),
            )
        yield Piece(
            (1.5 * len(plan) + k + 1) / steps,
            own,
            flow[0, :, *inner(seen, own, 1)],
            cell_prob[0, 0, *inner(seen, own, 1)],
            decoded[0, :, *inner(seen, own, 2)],
            vector_map,
        )


def at(window: Window, stride: int) -> Window:
    """Read a window of pixels at a stride; its edges lie on the grid."""
    return (
        slice(window[0].start // stride, window[0].stop // stride),
        slice(window[1].start // stride, window[1].stop // stride),
    )


def inner(seen: Window, own: Window, stride: int) -> Window:
    """Where `own` lies within `seen`, at a stride."""
    first, second = (slice(o.start - s.start, o.stop - s.start) for o, s in zip(own, seen, strict=True))
    return at((first, second), stride)


def as_input(window: Tensor, planes: int, device: str) -> Tensor:
    """Bring (1, 1 or P, Y, X) to the network's planes, layout and device."""
    return window.expand(-1, planes, -1, -1).contiguous(memory_format=memory_format(device)).to(device)
