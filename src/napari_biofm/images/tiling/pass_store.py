"""What a network said about an image, kept on disk tile by tile.

A pass lies in a folder named by its content hash: image + model + parameters. Tiles are written as they
come, so that a pass that was killed goes on where it stopped, and another image or model never finds it.
The least recently used passes go when the limit is reached.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ImageError

FOLDER_VARIABLE = "NAPARI_BIOFM_CACHE"
LIMIT_VARIABLE = "NAPARI_BIOFM_CACHE_GB"
_DEFAULT_LIMIT = 20_000_000_000
_MARK = "biofm-pass.json"  # folders without it are never touched


def cache_folder(folder: Path | str | None = None) -> Path:
    """Return the folder of kept passes: the argument, NAPARI_BIOFM_CACHE, or the user's cache."""
    folder = folder or os.environ.get(FOLDER_VARIABLE) or None
    if folder is None:
        import pooch

        folder = Path(pooch.os_cache("napari-biofm")) / "passes"
    return Path(folder).expanduser()


def content_hash(image: NDArray[Any], model_sha256: str, parameters: Mapping[str, Any]) -> str:
    """Return the key of a pass, 64 hex digits: any other image, model or parameter has another."""
    digest = hashlib.sha256()
    digest.update(f"{image.dtype.str} {image.shape} {model_sha256} ".encode())
    digest.update(json.dumps(dict(parameters), sort_keys=True, default=str).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class Pass:
    """The tiles of one pass.

    Parameters
    ----------
    folder : folder of this pass.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, index: int) -> bool:
        return (self.folder / "done" / str(index)).exists()

    def put(self, index: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the products of tile `index`; it counts only when all of them are written."""
        group = self._group()
        for name, values in arrays.items():
            if name not in group:
                shape = (self._count(), *values.shape)
                group.create_array(name, shape=shape, chunks=(1, *values.shape), dtype=values.dtype)
            group[name][index] = values
        self.mark(index)

    def mark(self, index: int) -> None:
        """Say that `index` is done, and that this pass is in use."""
        (self.folder / "used").touch()
        (self.folder / "done" / str(index)).touch()

    def get(self, index: int) -> dict[str, NDArray[Any]]:
        """Return the products of tile `index`."""
        return {name: np.asarray(array[index]) for name, array in self._group().arrays()}

    @property
    def finished(self) -> int:
        """How many tiles are kept."""
        done = self.folder / "done"
        return len(list(done.iterdir())) if done.exists() else 0

    def _group(self) -> Any:
        import zarr

        return zarr.open_group(self.folder / "tiles.zarr", mode="a", zarr_format=3)

    def _count(self) -> int:
        return int(json.loads((self.folder / _MARK).read_text())["tiles"])


@dataclass(frozen=True)
class Kept:
    """One line of the cache's list."""

    key: str
    bytes: int
    used: float
    about: Mapping[str, Any]


class PassStore:
    """A folder of passes with a limit.

    Parameters
    ----------
    folder : where; see `cache_folder`.
    limit : bytes; the least recently used passes go beyond it. NAPARI_BIOFM_CACHE_GB sets it too.
    """

    def __init__(self, folder: Path | str | None = None, limit: int | None = None) -> None:
        self.folder = cache_folder(folder)
        if limit is None:
            asked = os.environ.get(LIMIT_VARIABLE)
            limit = int(float(asked) * 1e9) if asked else _DEFAULT_LIMIT
        self.limit = limit

    def open(self, key: str, tiles: int, about: Mapping[str, Any] | None = None) -> Pass:
        """Return the pass called `key`, made anew where there is none or it has another grid.

        Raises
        ------
        ImageError
            When the folder cannot be written to.
        """
        folder = self.folder / key[:32]
        header = {"key": key, "tiles": tiles, "about": dict(about or {})}
        try:
            if not self._fits(folder, header):
                shutil.rmtree(folder, ignore_errors=True)
                (folder / "done").mkdir(parents=True)
                (folder / _MARK).write_text(json.dumps(header, default=str), encoding="utf-8")
            (folder / "used").touch()
        except OSError as error:
            raise ImageError(
                f"the cache folder {folder} cannot be written ({error}); "
                f"set {FOLDER_VARIABLE} to one that can"
            ) from error
        self.evict(keep=key)
        return Pass(folder)

    def _fits(self, folder: Path, header: Mapping[str, Any]) -> bool:
        try:
            found = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(found["key"] == header["key"] and found["tiles"] == header["tiles"])

    def kept(self) -> list[Kept]:
        """Return what is kept, the least recently used first."""
        return sorted(self._scan(), key=lambda row: row.used)

    def _scan(self) -> Iterator[Kept]:
        for mark in self.folder.glob(f"*/{_MARK}"):
            folder = mark.parent
            try:
                header = json.loads(mark.read_text(encoding="utf-8"))
                size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                used = (folder / "used").stat().st_mtime
            except (OSError, ValueError):
                continue  # another process is removing it
            yield Kept(header["key"], size, used, header.get("about", {}))

    def evict(self, keep: str | None = None) -> int:
        """Remove the least recently used passes beyond the limit; return the bytes freed."""
        rows = self.kept()
        excess = sum(row.bytes for row in rows) - self.limit
        freed = 0
        for row in rows:
            if freed >= excess:
                break
            if row.key != keep:
                self._remove(row.key)
                freed += row.bytes
        return freed

    def clear(self) -> int:
        """Remove every pass; return the bytes freed."""
        rows = self.kept()
        for row in rows:
            self._remove(row.key)
        return sum(row.bytes for row in rows)

    def _remove(self, key: str) -> None:
        folder = self.folder / key[:32]
        (folder / _MARK).unlink(missing_ok=True)  # first, so that half a removal is no pass
        shutil.rmtree(folder, ignore_errors=True)

    def report(self) -> dict[str, Any]:
        """Return folder, limit and contents as JSON values, for `napari-biofm cache`."""
        rows = [
            {
                "key": row.key,
                "bytes": row.bytes,
                "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.used)),
                **row.about,
            }
            for row in self.kept()
        ]
        total = sum(row["bytes"] for row in rows)
        return {"folder": str(self.folder), "limit": self.limit, "bytes": total, "passes": rows}
