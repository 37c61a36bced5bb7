"""What a file claims to hold against what it stores: nothing is read that would fill the memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SMALL = 1 << 30  # bytes that are read whatever the file stores
MOST_PACKED = 200  # times the stored bytes; packed measurements stay far below


def memory_words(error: BaseException) -> str:
    """Return what to do where memory ran out, with what was too large where that is known.

    Parameters
    ----------
    error : numpy's names the size, the shape and the type of the array.
    """
    lacking = " ".join(str(error).split()).removeprefix("Unable to allocate ").rstrip(".")
    what = f": no room for {lacking}" if lacking else ""
    return (
        f"Not enough memory{what}. What was open stays as it was. Close layers or other programs, or take a smaller part "
        "of the image or recording, and try again."
    )


def check_size(what: str, claimed: int, stored: int) -> None:
    """Raise where something would fill the memory.

    Parameters
    ----------
    what : its name, for the message.
    claimed : bytes it says to need in memory.
    stored : bytes it takes in the file.

    Raises
    ------
    ValueError
        If more than `SMALL` is claimed, and the bytes stored cannot be as much as that, or the memory has no room.
    """
    if claimed <= SMALL:
        return
    if claimed > MOST_PACKED * stored:
        raise ValueError(
            f"{what} claims {claimed / 1e9:.1f} GB and stores {stored / 1e6:.1f} MB; it is damaged, or made to fill the memory"
        )
    free = _free_memory()
    if free is not None and claimed > free:
        raise ValueError(
            f"{what} needs {claimed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; close other programs, or give a part of it"
        )


def check_npy(file: Any, what: str, size: int, stored: int | None = None) -> None:
    """Raise where the header of an array claims more than follows it.

    Parameters
    ----------
    file : open at the begin of the array; it is read up to the end of the header.
    what : name of the array, for the message.
    size : bytes of the array with its header, unpacked.
    stored : bytes in the file, where it is packed.

    Raises
    ------
    ValueError
        If it does, or is no array.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    count = 1
    for n in shape:
        count *= max(0, int(n))
    claimed = count * dtype.itemsize
    held = size - file.tell()
    if not dtype.hasobject and claimed > held:
        raise ValueError(f"{what} claims {claimed} bytes of values and holds {held}")
    check_size(what, claimed, size if stored is None else stored)


def whole_dataset(item: Any) -> Any:
    """Return all values of an HDF5 dataset.

    Raises
    ------
    ValueError
        If they would fill the memory, as far as they are stored at all.
    """
    claimed = int(item.size or 0) * int(item.dtype.itemsize)
    check_size(str(item.name), claimed, int(item.id.get_storage_size()))
    return item[()]


def check_zarr_texts(folder: Path) -> None:
    """Raise where a piece of text in a Zarr store (version 2) claims more words than it has room for.

    The words of a piece are counted at its begin, and as much memory is taken as that number asks for.

    Parameters
    ----------
    folder : of the store.

    Raises
    ------
    ValueError
        If one does, or cannot be unpacked.
    """
    import numcodecs

    for about in folder.rglob(".zarray"):
        array = json.loads(about.read_text(encoding="utf-8"))
        kinds = {one.get("id") for one in array.get("filters") or ()}
        if not kinds & {"vlen-utf8", "vlen-bytes"}:
            continue
        room = int(np.prod(array["chunks"], dtype=np.int64))
        packed = array.get("compressor")
        for piece in (one for one in about.parent.iterdir() if not one.name.startswith(".")):
            what, content = f"{about.parent.name}/{piece.name}", piece.read_bytes()
            if packed and packed.get("id") == "blosc":
                check_size(what, int.from_bytes(content[4:8], "little"), len(content))
            plain = numcodecs.get_codec(packed).decode(content) if packed else content
            words = int.from_bytes(bytes(plain[:4]), "little")
            if words > room:
                raise ValueError(f"{what} claims {words} words and has room for {room}")


def _free_memory() -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
