"""Cellpose's `_seg.npy`: written as its window reads it, read without unpickling, so that no file's own code is run.

The file is a pickled dictionary in an .npy of objects. Its opcodes are read here one by one as data. Those that build
dictionaries, lists, strings, numbers and plain NumPy arrays are followed; names that the file wants imported are
compared with a short list and never imported or called; anything else is refused.
"""

from __future__ import annotations

import io
import pickletools  # the table of opcodes; nothing of it runs what a file says
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.types import ImageError, Labels

LARGEST = 1 << 31  # bytes of a file
_DEEPEST, _MOST = 12, 1_000_000  # levels and entries
_RECONSTRUCT = {f"{m}.multiarray _reconstruct" for m in ("numpy.core", "numpy._core")}
_SCALAR = {f"{m}.multiarray scalar" for m in ("numpy.core", "numpy._core")}
_NAMES = {*_RECONSTRUCT, *_SCALAR, "numpy ndarray", "numpy dtype", "_codecs encode"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    text: str


class _Mark:
    """A place on the stack."""


@dataclass
class _Array:
    """An array that is being described."""

    value: np.ndarray[Any, Any] | None = None
    objects: list[Any] | None = None


@dataclass
class _Dtype:
    code: str
    order: str = "="

    @property
    def numpy(self) -> np.dtype[Any]:
        kind = np.dtype(self.code)
        if kind.hasobject or kind.kind not in "biufcSU":
            raise ImageError(f"It holds values of type {self.code}, which are no numbers.")
        return kind.newbyteorder("<" if self.order == "<" else ">") if self.order in ("<", ">") else kind


def read_seg(path: Path) -> dict[str, Any]:
    """Return what a `_seg.npy` holds, as plain data.

    Raises
    ------
    ImageError
        If it is no such file, is damaged, or wants anything but plain data built.
    """
    if path.stat().st_size > LARGEST:
        raise ImageError(
            f"{path.name} is larger than {LARGEST >> 30} GiB; save the masks as TIFF in Cellpose."
        )
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(file)
            if dtype != np.dtype(object):
                raise ImageError(
                    f"{path.name} is a plain array and no file of Cellpose's window; read it as masks."
                )
            found = plain_data(file.read())
        while isinstance(found, list) and len(found) == 1:  # the array of objects itself
            found = found[0]
        if shape != () or not isinstance(found, dict):
            raise ImageError("it holds no dictionary")
    except ImageError as error:
        raise ImageError(
            f"{path.name}: {error} Save the masks as TIFF or PNG in Cellpose instead."
        ) from error
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        OSError,
        OverflowError,
        AttributeError,
        MemoryError,
        RecursionError,
    ) as error:
        raise ImageError(f"{path.name} is damaged or no file of Cellpose ({error}).") from error
    return found


def write_seg(path: Path, labels: Labels, image: str = "") -> None:
    """Write masks as Cellpose's window opens them, together with the image it looks for.

    The window takes nothing but a pickled dictionary. It is made of NumPy arrays, numbers and text only; `read_seg` and
    Cellpose read it.

    Parameters
    ----------
    path : of the file, `<stem of the image>_seg.npy` beside the image.
    labels : (Y, X) or (Z, Y, X) integers, at most 2^32 - 1.
    image : path of the image, or its name where it lies beside the file.

    Raises
    ------
    ImageError
        If the masks have other axes or larger ids.
    """
    from skimage.segmentation import find_boundaries

    if labels.ndim not in (2, 3):
        raise ImageError(
            f"{path.name}: Cellpose takes a plane or a stack, not labels of shape {labels.shape}."
        )
    highest = int(labels.max(initial=0))
    if highest >= 1 << 32:
        raise ImageError(f"{path.name}: Cellpose takes ids below 4294967296, not {highest}.")
    masks = np.asarray(labels).astype(np.uint16 if highest < 1 << 16 else np.uint32)
    planes = masks if masks.ndim == 3 else masks[None]
    edges = np.stack([find_boundaries(plane, mode="inner") for plane in planes]).reshape(masks.shape)
    held = {
        "outlines": masks * edges,
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(highest, bool),
        "filename": image or path.name.removesuffix("_seg.npy"),
        "flows": [],
        "diameter": float("nan"),
    }
    with atomic_write(path) as part:
        np.save(part, np.array(held, dtype=object), allow_pickle=True)


def plain_data(pickled: bytes) -> object:
    """Follow the opcodes of a pickle that build plain data.

    Raises
    ------
    ImageError
        At the first that does anything else.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for code, value, _ in pickletools.genops(io.BytesIO(pickled)):
        name = code.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return _finished(stack[-1])
        if name in _VALUES:
            stack.append(value)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            n = _TUPLES[name]
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "MARK":
            stack.append(_Mark())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(str(value))] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(str(value))])
        else:
            _build(name, value, stack)
    raise ImageError("It ends before it is complete.")


def _build(name: str, value: Any, stack: list[Any]) -> None:
    if name == "GLOBAL":
        stack.append(_known(str(value)))
    elif name == "STACK_GLOBAL":
        attribute, module = stack.pop(), stack.pop()
        stack.append(_known(f"{module} {attribute}"))
    elif name in ("TUPLE", "LIST"):
        parts = _since_mark(stack)
        stack.append(tuple(parts) if name == "TUPLE" else parts)
    elif name in ("SETITEMS", "SETITEM"):
        pairs = _since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
    elif name in ("APPENDS", "APPEND"):
        parts = _since_mark(stack) if name == "APPENDS" else [stack.pop()]
        stack[-1].extend(parts)
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_made(function, arguments))
    elif name == "BUILD":
        state = stack.pop()
        _described(stack[-1], state)
    else:
        raise ImageError(f"It asks for '{name}', which is not needed for plain data and was not done.")


def _known(text: str) -> _Name:
    if text not in _NAMES:
        raise ImageError(f"It asks for '{text.replace(' ', '.')}' to be run, which was not done.")
    return _Name(text)


def _since_mark(stack: list[Any]) -> list[Any]:
    at = max(i for i, one in enumerate(stack) if isinstance(one, _Mark))
    parts = stack[at + 1 :]
    del stack[at:]
    return parts


def _made(function: Any, arguments: Any) -> Any:
    """Return what a known name stands for; nothing is called that the file names."""
    text = function.text if isinstance(function, _Name) else ""
    if text in _RECONSTRUCT and arguments[0] == _Name("numpy ndarray"):
        return _Array()
    if text == "numpy dtype":
        return _Dtype(str(arguments[0]))
    if text in _SCALAR:
        return np.frombuffer(arguments[1], arguments[0].numpy, count=1)[0].item()
    if text == "_codecs encode" and arguments[1] in ("latin1", "latin-1"):
        return str(arguments[0]).encode("latin1")
    raise ImageError("It asks for something to be run, which was not done.")


def _described(thing: Any, state: Any) -> None:
    """Give a dtype its byte order, or an array its shape and values."""
    if isinstance(thing, _Dtype):
        thing.order = str(state[1])
    elif isinstance(thing, _Array):
        _, shape, dtype, is_fortran, raw = state
        if isinstance(raw, list):  # objects: kept as a list
            thing.objects = raw
            return
        thing.value = np.frombuffer(raw, dtype.numpy).reshape(shape, order="F" if is_fortran else "C")
    else:
        raise ImageError("It asks for an object to be changed, which was not done.")


def _finished(value: Any, depth: int = 0, count: list[int] | None = None) -> Any:
    """Return plain data in place of what stood for it while it was read; few levels and entries are enough."""
    count = count if count is not None else [0]
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST:
        raise ImageError("It holds more levels or entries than Cellpose writes.")
    if isinstance(value, _Array):
        value = value.value if value.objects is None else value.objects
    if isinstance(value, dict):
        return {str(k): _finished(v, depth + 1, count) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finished(v, depth + 1, count) for v in value]
    return None if isinstance(value, _Name | _Dtype | _Mark) else value
