"""A sentence in place of an import error where a model is asked for and torch cannot be loaded."""

from __future__ import annotations

import importlib

from napari_biofm.types import BiofmError, ModelError

WITHOUT = "Recordings, classical detectors, curves and masks made elsewhere work without it."


def without_torch(error: Exception) -> Exception:
    """Return what to tell in place of an error: a ModelError where torch is the reason, else the error itself.

    A torch that is not there raises ImportError; one whose libraries do not load raises OSError on some systems.
    """
    is_of_file = isinstance(error, OSError) and error.filename is not None
    if isinstance(error, BiofmError) or is_of_file or not isinstance(error, (ImportError, OSError)):
        return error
    try:
        for name in ("torch", "torchvision"):
            importlib.import_module(name)
    except (ImportError, OSError) as broken:
        told = ModelError(
            f"This needs {name}, which cannot be loaded ({broken}). Install torch and torchvision again in one step "
            f"(docs/install.md), or choose a classical tool. {WITHOUT}"
        )
        told.__cause__ = error
        return told
    return error
