"""Where jobs run: here (inline), in warm worker processes, or on a Dask cluster.

A job is an importable function and its arguments. If it returns a generator, that is a `types.Task`:
each yielded `Progress` is passed on and is a point at which the job can be cancelled. Each job has a lane:
"interactive" ones, for which a person waits, run beside "bulk" ones and before them.
"""

from napari_biofm.engine.base import LANES, Engine, Job, JobState, Lane
from napari_biofm.engine.inline import InlineEngine
from napari_biofm.types import EngineError

__all__ = ["LANES", "Engine", "InlineEngine", "Job", "JobState", "Lane", "make_engine"]


def make_engine(address: str = "worker", post: object = None) -> Engine:
    """Return the engine for `address`.

    Parameters
    ----------
    address : "worker" (processes of our own, one per lane), "inline", or the address of a Dask scheduler such as
        "tcp://host:8786".
    post : callable that takes a function without arguments and calls it on the thread that owns the
        listeners, e.g. the GUI thread; None calls back on the engine's own thread.

    Raises
    ------
    EngineError
        If the address is none of these, or Dask is needed and not installed.
    """
    caller = post if callable(post) else None
    if address == "inline":
        return InlineEngine()
    if address == "worker":
        from napari_biofm.engine.process import ProcessEngine

        return ProcessEngine(post=caller)
    if "://" in address:
        from napari_biofm.engine.dask import DaskEngine

        return DaskEngine(address, post=caller)
    raise EngineError(
        f"'{address}' is no engine: use 'worker', 'inline' or 'tcp://host:port' of a Dask scheduler."
    )
