"""Where a network runs, how precise, and what it will cost: decided by measuring, told beforehand.

A probe times one transformer block (a small part of one tile) in every precision the device knows and
keeps the fastest. Out of memory is not the end: the batch is halved, then the CPU takes over.
"""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_biofm.models import timings as timings_of
from napari_biofm.types import EngineError

if TYPE_CHECKING:
    import torch

# A faster precision has to win by this much before full precision is given up.
_WORTH_IT = 0.85
_THREADS_WORTH_A_TRY = 4
_USABLE = 0.8  # of the memory that is free on a device


@dataclass(frozen=True)
class DevicePlan:
    """How a network will run.

    Attributes
    ----------
    device : "cpu", "cuda" or "mps".
    dtype : "float32", "bfloat16" or "float16".
    threads : CPU threads.
    batch : tiles per pass.
    seconds_per_tile : measured by the probe, or None before one ran.
    timings : seconds per tile of every precision tried, by name.
    """

    device: str
    dtype: str
    threads: int
    batch: int
    seconds_per_tile: float | None = None
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """What a job will take, told before it starts.

    Attributes
    ----------
    tiles : passes of the network.
    seconds : predicted time, or None before a probe ran.
    memory : predicted peak, bytes, weights included.
    available : free memory of the device, bytes, or None where nobody can say.
    device, dtype : where and how.
    """

    tiles: int
    seconds: float | None
    memory: int
    available: int | None
    device: str
    dtype: str

    @property
    def fits(self) -> bool:
        """Whether the predicted peak is free on the device."""
        return self.available is None or self.memory < self.available

    def describe(self) -> str:
        """Return one line for a person."""
        seconds = "time unknown until the first tile" if self.seconds is None else _duration(self.seconds)
        free = "" if self.available is None else f" of {self.available / 1e9:.1f} GB free"
        return (
            f"{self.tiles} tiles, {seconds}, {self.memory / 1e9:.1f} GB{free} on {self.device} ({self.dtype})"
        )


def pick_device(name: str = "auto") -> str:
    """Return the device to use: the one asked for, or the best there is.

    Parameters
    ----------
    name : "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises
    ------
    EngineError
        When a device is asked for that is not there.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    kind = name.split(":")[0]
    if kind not in there:
        raise EngineError(f"device {name!r} is unknown; choose auto, cpu, cuda or mps")
    if not there[kind]:
        raise EngineError(f"device {name!r} is not available to this torch; choose auto or cpu")
    return name


def candidates(device: str) -> tuple[str, ...]:
    """Return the precisions worth trying on `device`, the safest first.

    Parameters
    ----------
    device : "cpu", "cuda", "cuda:1" or "mps".
    """
    import torch

    if device.startswith("cuda"):
        # before Ampere torch emulates bfloat16, slower than float32; float16 may overflow, so it has to be worth it
        try:
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        except TypeError:  # torch before 2.4 never counts an emulation
            native = torch.cuda.is_bf16_supported()
        return ("bfloat16",) if native else ("float32", "float16")
    if device == "mps":  # from macOS 14 on; refused before, which the probe takes for an answer
        return ("float32", "bfloat16")
    return ("float32", "bfloat16") if _has_quick_bfloat16() else ("float32",)


def memory_format(device: str) -> torch.memory_format:
    """Return how images lie in memory on a device: channels last, but for MPS.

    There convolutions, normalisation and pooling gave wrong numbers for slices of tensors with the channels last
    (pytorch issues 180984 and 174345).

    Parameters
    ----------
    device : "cpu", "cuda", "cuda:1" or "mps".
    """
    import torch

    return torch.contiguous_format if device == "mps" else torch.channels_last


@functools.cache
def _has_quick_bfloat16() -> bool:
    """Tell whether a small matrix product is not much slower in bfloat16 on the processor.

    Without units for it a whole network takes ten times as long as in float32: too long even for a trial.
    """
    import torch

    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(512, 512, dtype=dtype)
        seconds[dtype] = timed(lambda m=matrix: m @ m, "cpu")  # type: ignore[misc]
    return seconds[torch.bfloat16] < 1.5 * seconds[torch.float32]


def probe(
    time_tile: Callable[[str], float],
    device: str,
    dtypes: Iterable[str] | None = None,
    batch: int | None = None,
    network: str | None = None,
) -> DevicePlan:
    """Choose the precision by measuring, now and at former starts.

    Parameters
    ----------
    time_tile : called with the name of a precision, returns the seconds one tile takes in it; may
        raise RuntimeError or TypeError where the device does not know that precision.
    device : as `pick_device` returns it.
    dtypes : precisions to try; by default those worth trying on the device.
    batch : tiles per pass; by default 1 on a CPU, 8 elsewhere.
    network : name under which times are remembered on this machine: a moment in which another program is busy does
        not change the choice. None remembers nothing.
    """
    key = None if network is None else f"{network}, {device}, {timings_of.machine()}"
    names = list(dtypes) if dtypes is not None else list(candidates(device))
    if key is not None and dtypes is None:
        names += [name for name in timings_of.known(key) if name not in names]
    timings: dict[str, float] = {}
    for dtype in names:
        try:
            timings[dtype] = time_tile(dtype)
        except (RuntimeError, TypeError) as error:
            if is_out_of_memory(error):
                raise
    if not timings:
        raise EngineError(f"the network runs in no known precision on {device}; choose another device")
    judged = timings if key is None else timings_of.shortest(key, timings)
    best = next(iter(timings))
    for dtype in timings:
        if judged[dtype] < _WORTH_IT * judged[best]:
            best = dtype
    batch = batch or (1 if device == "cpu" else 8)
    return DevicePlan(device, best, thread_count(), batch, timings[best], timings)


def probe_threads(run: Callable[[], float], seconds: float) -> float:
    """Halve the CPU threads of this process where that is clearly faster, and return the seconds of a tile.

    Two threads of one core, or cores that other programs hold, get in each other's way.

    Parameters
    ----------
    run : returns the seconds one tile takes with the threads there are.
    seconds : what it took with all of them.
    """
    import torch

    count = thread_count()
    if count < _THREADS_WORTH_A_TRY:
        return seconds
    torch.set_num_threads(count // 2)
    fewer = run()
    if fewer < _WORTH_IT * seconds:
        return fewer
    torch.set_num_threads(count)
    return seconds


def batch_that_fits(batch: int, free: int | None, weights: int, tile: int) -> int:
    """Return how many tiles fit at once, at most `batch`, at least 1; all sizes in bytes.

    Parameters
    ----------
    batch : the most tiles.
    free : bytes on the device, None where it cannot be asked.
    weights : bytes of the network.
    tile : bytes one tile needs beside it.
    """
    if free is None:
        return batch
    return max(1, min(batch, int(_USABLE * free - weights) // max(1, tile)))


def thread_count() -> int:
    """Return how many CPU threads torch uses here."""
    import torch

    return int(torch.get_num_threads())


def free_memory(device: str) -> int | None:
    """Return the bytes free on a device, or None where it cannot be asked.

    Parameters
    ----------
    device : "cpu", "cuda", "cuda:1" or "mps".
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on any device.

    Parameters
    ----------
    error : as it was raised.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory"))


def release(device: str) -> None:
    """Hand cached memory back to the device.

    Parameters
    ----------
    device : "cpu", "cuda", "cuda:1" or "mps".
    """
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def read(self) -> float:
        """Return the seconds (s) since it was made."""
        return time.perf_counter() - self._start


def timed(run: Callable[[], Any], device: str, repeats: int = 3) -> float:
    """Return the shortest of some runs in seconds, after one to warm up.

    Parameters
    ----------
    run : what is timed; waited for on devices that go on by themselves.
    device : "cpu", "cuda", "cuda:1" or "mps".
    repeats : runs after the first.
    """
    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        elif device == "mps":
            torch.mps.synchronize()

    run()
    wait()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        wait()
        best = min(best, time.perf_counter() - start)
    return best


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
