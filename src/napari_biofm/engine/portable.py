"""Errors of a job as they travel from the process or node it ran on."""

from __future__ import annotations

import traceback

from napari_biofm.types import BiofmError, EngineError


def portable(error: Exception, where: str = "the worker process") -> Exception:
    """Return an exception the window can unpickle, with the traceback as a note.

    Parameters
    ----------
    error : what a job raised. Ours stays what it is; any other becomes an `EngineError` in one line.
    where : it was raised, for the note.
    """
    note = "".join(traceback.format_exception(error))
    if isinstance(error, BiofmError):
        copy: Exception = type(error)(*error.args)
    elif isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        copy = EngineError(
            "Not enough memory for this job. Close other programs, choose a smaller image region or model, "
            f"or run on another device. ({type(error).__name__}: {error})"
        )
    else:
        copy = EngineError(f"{type(error).__name__}: {error}")
    copy.add_note(f"In {where}:\n{note}")
    return copy
