"""MATLAB files of version 5: a small reader of our own, which a damaged file cannot crash.

Numbers, texts, structs and cells are read; functions and objects are left out. scipy's reader is not used: it takes
sizes from the file on trust and ends the process on some damaged ones.

Source: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.sizes import check_size

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC_CLASSES = range(6, 16)
_DEEPEST = 8
_PEEK = 4096  # bytes in which the name of a variable stands
_MOST_FIELDS = 100_000


def variables(file: IO[bytes], size: int, names: Container[str] | None = None) -> dict[str, Any]:
    """Return the variables of a file: arrays, texts, structs as dicts (of arrays of structs, lists of dicts).

    Parameters
    ----------
    file : open at its begin.
    size : of the file, bytes.
    names : variables to read; the others are passed over. All by default.

    Raises
    ------
    ValueError
        If the file is damaged, or a variable would fill the memory.
    """
    head = file.read(128)
    if len(head) < 128 or head[126:128] not in (b"IM", b"MI"):
        raise ValueError("it does not begin like a MATLAB file of version 5")
    order = "<" if head[126:128] == b"IM" else ">"
    found: dict[str, Any] = {}
    at, unpacked = 128, 0
    while at + 8 <= size:
        file.seek(at)
        kind, length, short = _tag(file.read(8), order)
        begin = at + (4 if short else 8)
        if begin + length > size:
            raise ValueError(f"an element of {length} bytes, {size - begin} are left")
        file.seek(begin)
        peek = file.read(min(length, _PEEK))
        if kind == _COMPRESSED:
            claimed, first = _unpacked_size(peek, order)
            if names is None or _name(first, order) in names:
                unpacked += claimed
                check_size("what it holds", unpacked, size)
                file.seek(begin)
                inner = _unpack(file.read(length), claimed)
                for one, part in _elements(memoryview(inner), order):
                    _add(found, one, part, order, names)
        elif names is None or _name(peek, order) in names:
            check_size("what it holds", length, length)
            file.seek(begin)
            _add(found, kind, memoryview(file.read(length)), order, names)
        at = begin + (4 if short else length if kind == _COMPRESSED else -(-length // 8) * 8)
    return found


def _add(
    found: dict[str, Any], kind: int, part: memoryview, order: str, names: Container[str] | None
) -> None:
    if kind == _MATRIX:
        name, value = _matrix(part, order, 0)
        if name and (names is None or name in names):
            found[name] = value


def _name(content: bytes, order: str) -> str:
    """Return the name of a variable from how its element begins, "" where it does not say."""
    parts = _elements(memoryview(content), order, cut=True)
    try:
        for _ in range(2):
            next(parts)
        return bytes(next(parts)[1]).decode("latin-1")
    except (StopIteration, ValueError):
        return ""


def _unpacked_size(content: bytes, order: str) -> tuple[int, bytes]:
    """Return how many bytes a packed element says to hold, and how it begins."""
    try:
        plain = zlib.decompressobj().decompress(content, _PEEK)
        _, size, short = _tag(plain[:8], order)
    except (zlib.error, struct.error) as error:
        raise ValueError(f"a variable cannot be unpacked: {error}") from error
    return 8 + size, plain[4 if short else 8 :]


def _unpack(content: bytes, claimed: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, claimed)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked: {error}") from error


def _tag(data: bytes | memoryview, order: str, at: int = 0) -> tuple[int, int, bool]:
    """Return type and size of an element, and whether it is a small one: up to 4 bytes beside them in one place."""
    first, second = struct.unpack_from(f"{order}II", data, at)
    if not first >> 16:
        return first, second, False
    if first >> 16 > 4:
        raise ValueError(f"a small element of {first >> 16} bytes")
    return first & 0xFFFF, first >> 16, True


def _elements(data: memoryview, order: str, cut: bool = False) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements that follow each other; with `cut` the last may be cut off."""
    at = 0
    while at + 8 <= len(data):
        kind, size, short = _tag(data, order, at)
        begin = at + (4 if short else 8)
        if begin + size > len(data) and not cut:
            raise ValueError(f"an element of {size} bytes, {len(data) - begin} are left")
        yield kind, data[begin : begin + size]
        at += 8 if short else 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Return name and value of a variable; None for what is not read."""
    parts = _elements(data, order)
    try:
        (_, flags), (_, sizes), (_, name) = next(parts), next(parts), next(parts)
        (word,) = struct.unpack_from(f"{order}I", flags)
    except (StopIteration, struct.error):
        return "", None  # an empty matrix stands for a missing field
    dims = np.frombuffer(bytes(sizes), f"{order}i4").tolist()
    title = bytes(name).decode("latin-1")
    if len(dims) < 2 or any(d < 0 for d in dims) or depth > _DEEPEST:
        raise ValueError(f"variable {title!r} of shape {dims}")
    count = int(np.prod(dims, dtype=np.float64)) if dims else 0
    kind = word & 0xFF
    if kind in _NUMERIC_CLASSES:
        return title, _numbers(next(parts, None), order, dims, count)
    if kind == _CHAR:
        return title, _text(next(parts, None), order, dims, count)
    if count > _MOST_FIELDS:
        raise ValueError(f"variable {title!r} of {count} parts")
    if kind == _CELL:
        return title, [_matrix(part, order, depth + 1)[1] for one, part in parts if one == _MATRIX]
    return title, _struct(parts, order, count, depth) if kind == _STRUCT else None


def _numbers(
    part: tuple[int, memoryview] | None, order: str, dims: list[int], count: int
) -> NDArray[Any] | None:
    """Return an array, real part only, without axes of length one."""
    if part is None or part[0] not in _NUMBERS:
        return None
    values = np.frombuffer(part[1], np.dtype(order + _NUMBERS[part[0]]))
    if len(values) != count:
        raise ValueError(f"{len(values)} numbers for a shape of {dims}")
    return np.squeeze(values.reshape(dims, order="F"))


def _text(part: tuple[int, memoryview] | None, order: str, dims: list[int], count: int) -> Any:
    """Return a text, or one per row."""
    if part is None:
        return ""
    kind, content = part
    if kind in _TEXTS:
        wide = "" if kind == 16 else "-le" if order == "<" else "-be"
        letters = bytes(content).decode(_TEXTS[kind] + wide, "replace")
    elif kind in _NUMBERS:
        codes = np.frombuffer(bytes(content), np.dtype(order + _NUMBERS[kind]))
        letters = "".join(chr(int(c)) if 0 <= c < 0x11_0000 else "?" for c in codes)
    else:
        return ""
    if dims[0] <= 1 or len(letters) != count:
        return letters
    return ["".join(row).strip() for row in np.array(list(letters)).reshape(dims[:2], order="F")]


def _struct(parts: Iterator[tuple[int, memoryview]], order: str, count: int, depth: int) -> Any:
    _, length = next(parts, (0, memoryview(b"")))
    _, names = next(parts, (0, memoryview(b"")))
    if len(length) < 4:
        raise ValueError("a struct without field names")
    (size,) = struct.unpack_from(f"{order}i", length)
    if not 0 < size <= 1024:
        raise ValueError(f"field names of {size} bytes")
    text = bytes(names)
    keys = [text[i : i + size].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), size)]
    values = [_matrix(part, order, depth + 1)[1] for kind, part in parts if kind == _MATRIX]
    if not keys or len(values) < len(keys):
        return {}
    rows = [
        dict(zip(keys, values[i : i + len(keys)], strict=False)) for i in range(0, len(values), len(keys))
    ]
    return rows[0] if count == 1 else rows[:count]
