"""What a click model prepared of an image, kept on disk over sessions: beside the passes, under their limit.

The names of classes are looked up in `CLASSES`, never imported from a file; arrays and numbers are all there
is.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.tiling.pass_store import Pass, PassStore, content_hash
from napari_biofm.types import ImageError, Model, Promptable, Task

CLASSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "embedded": ("napari_biofm.images.segment.embedded.clicks", "Prepared"),
        "embedded pass": ("napari_biofm.images.segment.embedded.passes", "Pass"),
        "sam": ("napari_biofm.images.prompt.sam", "Prepared"),
        "sam tile": ("napari_biofm.images.prompt.sam", "PreparedTile"),
    }
)
PURPOSE = "clicks"
TREE = "tree"  # name of the array that says what the others belong to


def prepared_key(image: NDArray[Any], promptable: Model) -> str | None:
    """Return the key of what a model prepares of an image; None for models that do not say which weights
    they have.
    """
    if not promptable.weights_sha256:
        return None
    return content_hash(
        np.asarray(image), promptable.weights_sha256, {"purpose": PURPOSE, "model": promptable.name}
    )


def is_kept(key: str, store: PassStore | None = None) -> bool:
    """Whether there is something under a key, whole."""
    kept = store or PassStore()
    return 0 in Pass(kept.folder / key[:32])


def prepare_kept(promptable: Promptable[Any], image: NDArray[Any]) -> Task[Any]:
    """Return what a model prepares of an image: from the disk where it is kept, else computed and kept.

    Parameters
    ----------
    promptable : the model.
    image : (Y, X) or (Y, X, C).
    """
    key = prepared_key(image, promptable)
    prepared = load_prepared(key) if key is not None else None
    if prepared is None:
        prepared = yield from promptable.prepare(image)
        if key is not None:
            with suppress(ImageError):  # a full or locked disk must not stop the hand
                keep_prepared(key, prepared, {"model": promptable.name, "shape": list(np.shape(image))})
    return prepared


def keep_prepared(
    key: str, prepared: object, about: Mapping[str, Any], store: PassStore | None = None
) -> bool:
    """Write what a model prepared; False where it is of a kind that is not kept.

    Raises
    ------
    ImageError : if the folder cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        tree = _taken_apart(prepared, "p", arrays)
    except TypeError:
        return False
    kept = store or PassStore()
    where = kept.open(key, 1, {"purpose": PURPOSE, **about})
    try:
        where.put(0, {**arrays, TREE: np.frombuffer(json.dumps(tree).encode(), np.uint8)})
    except OSError as error:
        raise ImageError(f"{where.folder}: what was prepared for clicks cannot be kept ({error}).") from error
    return True


def load_prepared(key: str, store: PassStore | None = None) -> object | None:
    """Return what is kept under a key, or None where there is nothing whole."""
    kept = store or PassStore()
    if not is_kept(key, kept):
        return None
    try:
        where = kept.open(key, 1)
        arrays = where.get(0)
        return _put_together(json.loads(arrays.pop(TREE).tobytes()), arrays)
    except (OSError, KeyError, ValueError, TypeError, ImageError):
        return None  # written by another version, or going: it is computed anew


def _taken_apart(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return `value` as JSON; its arrays go to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        kind = next(
            (k for k, v in CLASSES.items() if v == (type(value).__module__, type(value).__name__)), None
        )
        if kind is None:
            raise TypeError(type(value).__name__)
        lasting = [f.name for f in fields(value) if f.default_factory is MISSING]  # caches are made anew
        parts = {n: _taken_apart(getattr(value, n), f"{name}-{n}", arrays) for n in lasting}
        return {"class": kind, "parts": parts}
    if isinstance(value, tuple | list):
        return {"tuple": [_taken_apart(v, f"{name}-{k}", arrays) for k, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, np.generic):
        return {"value": value.item()}
    raise TypeError(type(value).__name__)


def _put_together(tree: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    if "array" in tree:
        return arrays[tree["array"]]
    if "class" in tree:
        module, attribute = CLASSES[tree["class"]]
        maker = getattr(importlib.import_module(module), attribute)
        return maker(**{name: _put_together(part, arrays) for name, part in tree["parts"].items()})
    if "tuple" in tree:
        return tuple(_put_together(part, arrays) for part in tree["tuple"])
    return tree["value"]
