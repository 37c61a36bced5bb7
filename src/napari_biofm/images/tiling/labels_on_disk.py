"""Labels of a large image in a mapped file, with a log of the parts that are done and checksums of what they wrote."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.images.left_out import merged
from napari_biofm.images.tiling.pass_store import FOLDER_VARIABLE, Pass
from napari_biofm.types import ImageError, Segmentation

_BAND = 1 << 22  # bytes of labels under one checksum
_LABELS, _LOG = "labels.npy", "parts.jsonl"


class LabelsOnDisk:
    """Labels in a mapped file, and the parts of them that are done.

    Labels are looked at as rows; `_BAND` bytes of them have one checksum. What does not agree with its checksum is
    computed again, and every part that was done after the first of those that wrote there.

    Parameters
    ----------
    kept : the folder they lie in; nobody else works there.
    shape : of the labels.

    Raises
    ------
    ImageError
        If the disk has no room for them.

    Attributes
    ----------
    labels : the mapped labels, int32.
    highest : label given so far.
    diameter : used so far, pixels, or None.
    provenance : of the parts that are done.
    """

    def __init__(self, kept: Pass, shape: tuple[int, ...]) -> None:
        self._kept = kept
        self.highest: int = 0
        self.diameter: float | None = None
        self.provenance: dict[str, Any] = {}
        self._done: set[int] = set()
        self._height = max(1, _BAND // (4 * max(1, shape[-1])))
        entries = self._read(shape)
        if entries:
            entries = entries[: self._first_damaged(entries)]
        if not entries:
            self._begin(shape)
            return
        for band in range(-(-len(self._rows) // self._height)):  # what parts wrote that do not count
            rows = self._band(band)
            rows[rows > entries[-1]["highest"]] = 0
        self._write(entries)
        for entry in entries:
            self._count(entry)

    def __contains__(self, index: int) -> bool:
        return index in self._done

    def finish(
        self,
        index: int,
        window: tuple[slice, ...],
        highest: int,
        diameter: float | None,
        found: Segmentation,
    ) -> None:
        """Note that a part is written.

        Parameters
        ----------
        index : of the part.
        window : where it wrote, slices of the first axes.
        highest : label given so far.
        diameter : used so far, pixels.
        found : what was found there; its provenance is kept.
        """
        self.labels.flush()
        bands = {str(band): self._checksum(band) for band in self._bands(window)}
        entry = {
            "part": index, "highest": highest, "diameter": diameter, "provenance": dict(found.provenance),
            "bands": bands,
        }  # fmt: skip
        entry = json.loads(json.dumps(entry, default=str))
        self._count(entry)
        try:
            with (self._kept.folder / _LOG).open("ab") as file:
                file.write(_line(entry))
            self._kept.touch()
        except FileNotFoundError:
            pass  # somebody removed the folder: the labels are still mapped, and `close` writes them anew

    def close(self) -> tuple[Path, int]:
        """Return the file of the labels, and how many objects are in it."""
        self.labels.flush()
        path = self._kept.folder / _LABELS
        if not (path.is_file() and os.path.samestat(path.stat(), self._stat)):
            self._kept.renew()
            with atomic_write(path, result=False) as temporary:
                np.save(temporary, self.labels)
        seen = np.zeros(self.highest + 1, bool)
        rows = self._rows
        for start in range(0, len(rows), self._height):
            seen[rows[start : start + self._height]] = True
        return path, int(seen[1:].sum())

    # ------------------------------------------------------------------ files

    def _begin(self, shape: tuple[int, ...]) -> None:
        """Begin with a new file; whoever has mapped a former one keeps that."""
        path = self._kept.folder / _LABELS
        path.unlink(missing_ok=True)
        (self._kept.folder / _LOG).unlink(missing_ok=True)
        try:
            _reserve(path, shape)
        except OSError as error:
            path.unlink(missing_ok=True)
            size = 4 * int(np.prod(shape, dtype=np.int64))
            raise ImageError(
                f"the labels need {size / 1e9:.1f} GB in the cache folder {path.parent.parent} ({error.strerror}); make room, "
                f"or set {FOLDER_VARIABLE} to a folder with more."
            ) from error
        self._map(np.lib.format.open_memmap(path, "r+"))

    def _map(self, labels: Any) -> None:
        self.labels = labels
        self._rows = labels.reshape(-1, labels.shape[-1])
        self._stat = (self._kept.folder / _LABELS).stat()

    def _read(self, shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """Map the labels and return the lines of the log up to the first that is damaged; none where nothing fits."""
        try:
            labels = np.lib.format.open_memmap(self._kept.folder / _LABELS, "r+")
            if labels.shape != shape or labels.dtype != np.int32 or not labels.flags.c_contiguous:
                return []
            lines = (self._kept.folder / _LOG).read_bytes().splitlines()
        except (OSError, ValueError):
            return []
        self._map(labels)
        entries = []
        for line in lines:
            entry = _entry(line)
            if entry is None:
                break
            entries.append(entry)
        return entries

    def _write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        (self._kept.folder / _LOG).write_bytes(b"".join(map(_line, entries)))

    def _first_damaged(self, entries: list[dict[str, Any]]) -> int:
        """Return how many lines of the log are to be believed."""
        last = {band: value for entry in entries for band, value in entry["bands"].items()}
        bad = {band for band, value in last.items() if self._checksum(int(band)) != value}
        for k, entry in enumerate(entries):
            if bad & set(entry["bands"]):
                for band in bad:
                    self._band(int(band))[:] = 0
                return k
        return len(entries)

    # ------------------------------------------------------------------ parts

    def _count(self, entry: Mapping[str, Any]) -> None:
        self._done.add(int(entry["part"]))
        self.highest, self.diameter = int(entry["highest"]), entry["diameter"]
        self.provenance = merged(self.provenance, entry["provenance"])

    def _bands(self, window: tuple[slice, ...]) -> list[int]:
        """Return the bands of rows that a window lies in."""
        numbers = np.arange(len(self._rows)).reshape(self.labels.shape[:-1])
        touched = numbers[window[: numbers.ndim]]
        return [int(band) for band in np.unique(touched // self._height)]

    def _band(self, band: int) -> Any:
        return self._rows[band * self._height : (band + 1) * self._height]

    def _checksum(self, band: int) -> int:
        return zlib.crc32(np.ascontiguousarray(self._band(band)).data)


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Write an array of zeros, with its room on the disk taken: a mapped file ends the process on a full disk.

    Raises
    ------
    OSError
        If the disk has no room for it.
    """
    with path.open("wb") as file:
        header = {"descr": "<i4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = 4 * int(np.prod(shape, dtype=np.int64))
        begin = file.tell()
        file.truncate(begin + size)
        file.flush()
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), begin, size)


def _line(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return a line of the log, None where it is damaged."""
    checksum, _, text = line.partition(b" ")
    if checksum != f"{zlib.crc32(text):08x}".encode():
        return None
    entry = json.loads(text)
    return entry if isinstance(entry, dict) else None
