"""Arrays as text for the log: little-endian bytes, compressed, base64. Never pickle."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 30  # bytes of one array; a log line that claims more is damaged


def pack(array: NDArray[Any]) -> str:
    """Return a one-dimensional array as text; its dtype is not kept."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(zlib.compress(little.tobytes(), 6)).decode("ascii")


def unpack(text: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array that `pack` wrote.

    Raises
    ------
    ValueError
        If the text is damaged or claims more than 1 GiB.
    """
    opener = zlib.decompressobj()
    try:
        raw = opener.decompress(base64.b64decode(text, validate=True), LARGEST)
    except zlib.error as error:
        raise ValueError(f"an array of the log is damaged ({error})") from error
    if not opener.eof:
        raise ValueError("an array of the log is damaged: it is cut short or larger than 1 GiB")
    if len(raw) % dtype.itemsize:
        raise ValueError(f"an array of the log is damaged: {len(raw)} bytes are no rows of {dtype.itemsize}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
