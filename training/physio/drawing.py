"""Windows of a step, drawn here or ahead of time by other processes; the same either way."""

from __future__ import annotations

import multiprocessing
from multiprocessing.pool import AsyncResult
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_biofm.events.physio_fm.input_encoding import PATCH

from .backgrounds import Backgrounds
from .batch import make_batch
from .real import Real

Arrays = dict[str, NDArray[Any]]
AHEAD = 2  # steps drawn ahead, per process
_of_worker: list[Any] = []  # configuration, recordings, backgrounds: of a process that draws


def arrays_of(config: dict[str, Any], step: int, real: Real | None, behind: Backgrounds | None) -> Arrays:
    """Return inputs and targets of a step, and under "hidden" the tokens to be guessed where there are any."""
    rng = np.random.default_rng((config["seed"], step))
    batch = make_batch(rng, config["batch"], real, config["mix"], config["real_share"], behind)
    out: Arrays = {name: tensor.numpy() for name, tensor in batch.items()}
    if rng.random() < config["hidden_share"]:
        starts = rng.random((config["batch"], out["inputs"].shape[2] // PATCH)) < 0.04
        out["hidden"] = starts.copy()
        for k in (1, 2, 3):
            out["hidden"][:, k:] |= starts[:, :-k]
    return out


class Windows:
    """Draws the windows of steps, each from its own generator, so that the number of processes changes nothing."""

    def __init__(
        self, config: dict[str, Any], real: Real | None, behind: Backgrounds | None = None, workers: int = 0
    ) -> None:
        self.config, self.real, self.behind = config, real, behind
        self.ahead: dict[int, AsyncResult[Arrays]] = {}
        self.workers = workers
        # forked before a GPU is touched: recordings are shared, nothing is copied
        self.pool = (
            multiprocessing.get_context("fork").Pool(workers, _begin, (config, real, behind))
            if workers
            else None
        )

    def of(self, step: int, device: torch.device) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        """Return inputs and targets of a step, and what is hidden (None: nothing)."""
        if self.pool is None:
            arrays = arrays_of(self.config, step, self.real, self.behind)
        else:
            for later in range(step, min(step + AHEAD * self.workers, self.config["steps"])):
                if later not in self.ahead:
                    self.ahead[later] = self.pool.apply_async(_draw, (later,))
            arrays = self.ahead.pop(step).get()
        tensors = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
        hidden = tensors.pop("hidden", None)
        return tensors, hidden

    def close(self) -> None:
        """End the processes."""
        if self.pool is not None:
            self.pool.terminate()
            self.pool.join()


def _begin(*parts: Any) -> None:
    torch.set_num_threads(1)
    _of_worker[:] = parts


def _draw(step: int) -> Arrays:
    config, real, behind = _of_worker
    return arrays_of(config, step, real, behind)
