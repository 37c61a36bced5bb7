"""Driving a network over tiles: the order, the batches, the kept tiles, and what to do without memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.protocols import Box
from napari_biofm.images.tiling.pass_store import Pass
from napari_biofm.images.tiling.tiles import TileGrid
from napari_biofm.models.device import DevicePlan, Stopwatch, is_out_of_memory, release
from napari_biofm.types import EngineError

Products = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TilePiece:
    """A finished tile, as it travels in `Progress.payload`.

    Attributes
    ----------
    index : number of the tile in its grid.
    box : y0, x0, y1, x1 in image pixels.
    cell_prob : (y1 - y0, x1 - x0) float32 logits, to paint before the masks are made.
    plane : z or t of a stack.
    """

    index: int
    box: Box
    cell_prob: NDArray[np.float32]
    plane: int = 0


class TileRunner:
    """Runs tiles through a network, batch by batch.

    Parameters
    ----------
    forward : (n, C, tile, tile) float32 -> arrays of n products each, by name.
    plan : device and batch to begin with.
    to_cpu : moves the network to the CPU and returns the plan that holds there.
    """

    def __init__(
        self,
        forward: Callable[[NDArray[np.float32]], Products],
        plan: DevicePlan,
        to_cpu: Callable[[], DevicePlan],
    ) -> None:
        self._forward = forward
        self._to_cpu = to_cpu
        self.plan = plan
        self.notes: list[str] = []
        self.computed = 0

    def run(
        self, frame: NDArray[np.float32], grid: TileGrid, order: Sequence[int], kept: Pass | None = None
    ) -> Generator[tuple[int, Products], None, None]:
        """Yield (tile, products) for every tile of `order`; tiles that are kept, and whole, are not computed.

        Parameters
        ----------
        frame : (C, y, x), the resized image on the grid's frame.
        """
        waiting = []
        for index in order:
            products = None
            if kept is not None and index in kept:
                with suppress(
                    ValueError, OSError
                ):  # damaged, or removed in this moment: it is computed again
                    products = kept.get(index)
            if products is None:
                waiting.append(index)
            else:
                yield index, products
        boxes = grid.boxes
        while waiting:
            now, waiting = waiting[: self.plan.batch], waiting[self.plan.batch :]
            tiles = np.stack([frame[:, y0:y1, x0:x1] for y0, x0, y1, x1 in (boxes[i] for i in now)])
            done = self._attempt(tiles)
            if done is None:
                waiting = now + waiting
                continue
            self.computed += len(now)
            for position, index in enumerate(now):
                products = {name: values[position] for name, values in done.items()}
                if kept is not None:
                    try:
                        kept.put(index, products)
                    except OSError as error:
                        kept = None
                        self._note(f"tiles are not kept for the next run ({error.strerror or error})")
                yield index, products

    def _attempt(self, tiles: NDArray[np.float32]) -> Products | None:
        """Run a batch; without memory change the plan and return None."""
        seconds = Stopwatch()
        try:
            products = self._forward(tiles)
            self.plan = replace(self.plan, seconds_per_tile=seconds.read() / len(tiles))
            return products
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        release(self.plan.device)  # outside the handler, whose traceback holds the tensors
        if len(tiles) > 1:
            self.plan = replace(self.plan, batch=len(tiles) // 2)
            self._note(f"out of memory: {self.plan.batch} tile(s) at once from here on")
        elif self.plan.device != "cpu":
            self._note(f"out of memory on {self.plan.device}: going on on the CPU, which takes longer")
            self.plan = self._to_cpu()
        else:
            raise EngineError(
                "not enough memory for a single tile; close other programs or choose a smaller model"
            )
        return None

    def _note(self, text: str) -> None:
        self.notes.append(text)
