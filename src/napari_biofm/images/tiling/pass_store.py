"""What a network said about an image, kept on disk tile by tile.

A pass lies in a folder named by its content hash: image + model + parameters. Tiles are written as they
come, so that a pass that was killed goes on where it stopped, and another image or model never finds it.
The least recently used passes go when the limit is reached. Several processes may use one folder: a tile is a file
that appears whole, and a lock per pass keeps others from removing it, or from working on the same large image.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write, numpy_archive, write_text
from napari_biofm.locks import FileLock, locked
from napari_biofm.types import ImageError

FOLDER_VARIABLE = "NAPARI_BIOFM_CACHE"
LIMIT_VARIABLE = "NAPARI_BIOFM_CACHE_GB"
_DEFAULT_LIMIT = 20_000_000_000
_MARK = "biofm-pass.json"  # folders without it are never touched
_FORMAT = 2  # passes of another one are made anew
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


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
    """The tiles of one pass, a file each: whole or absent, with checksums that are tested when it is read.

    Parameters
    ----------
    folder : folder of this pass.
    header : what its mark says; needed to make it again after somebody removed it.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._header = dict(header or {})

    def __contains__(self, index: int) -> bool:
        return self._file(index).is_file()

    def put(self, index: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the products of tile `index`.

        Raises
        ------
        OSError
            If the pass was removed meanwhile, or the disk is full.
        """
        if not (self.folder / _MARK).is_file():
            raise FileNotFoundError(errno.ENOENT, "this pass was removed", str(self.folder))
        with atomic_write(self._file(index), result=False) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        self.touch()

    def renew(self) -> None:
        """Make the folder again where somebody removed it."""
        if not (self.folder / _MARK).is_file():
            write_text(self.folder / _MARK, json.dumps(self._header, default=str))
        self.touch()

    def touch(self) -> None:
        """Say that this pass is in use."""
        (self.folder / "used").touch()

    def get(self, index: int) -> dict[str, NDArray[Any]]:
        """Return the products of tile `index`.

        Raises
        ------
        ValueError, OSError
            If the file is damaged or gone; the tile has to be computed again.
        """
        with numpy_archive(self._file(index)) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}

    @property
    def finished(self) -> int:
        """How many tiles are kept."""
        return len(list(self._tiles.glob("[0-9]*.npz")))

    @property
    def _tiles(self) -> Path:
        return self.folder / "tiles"

    def _file(self, index: int) -> Path:
        return self._tiles / f"{index}.npz"


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
        with self._writing(), locked(self._lock(key)):
            return self._open(key, tiles, about)

    @contextmanager
    def alone(
        self, key: str, tiles: int, about: Mapping[str, Any] | None = None
    ) -> Generator[Pass | None, None, None]:
        """Give the pass called `key` to this caller alone; None while another run works on it.

        Where the disk knows no locks, the pass has a key of its own, and nobody else finds it.

        Raises
        ------
        ImageError
            When the folder cannot be written to.
        """
        lock = None
        try:
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = FileLock(self._lock(key))
                try:
                    free = lock.acquire()
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                    free, key = True, f"{uuid.uuid4().hex}{key[32:]}"
                found = self._open(key, tiles, about) if free else None
            yield found
        finally:
            if lock is not None:
                lock.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise ImageError(
                f"the cache folder {self.folder} cannot be written ({error}); "
                f"set {FOLDER_VARIABLE} to one that can"
            ) from error

    def _lock(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.lock"

    def _open(self, key: str, tiles: int, about: Mapping[str, Any] | None) -> Pass:
        folder = self.folder / key[:32]
        header = {"format": _FORMAT, "key": key, "tiles": tiles, "about": dict(about or {})}
        found = Pass(folder, header)
        if not self._fits(folder, header):
            shutil.rmtree(folder, ignore_errors=True)
        found.renew()
        self.evict(keep=key)
        return found

    def _fits(self, folder: Path, header: Mapping[str, Any]) -> bool:
        try:
            found = json.loads((folder / _MARK).read_text(encoding="utf-8"))
            return all(found[name] == header[name] for name in ("format", "key", "tiles"))
        except (OSError, ValueError, KeyError, TypeError):
            return False

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
                yield Kept(str(header["key"]), size, used, dict(header.get("about", {})))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # another process is removing it, or it is damaged

    def evict(self, keep: str | None = None) -> int:
        """Remove the least recently used passes beyond the limit; return the bytes freed."""
        rows = self.kept()
        excess = sum(row.bytes for row in rows) - self.limit
        freed = 0
        for row in rows:
            if freed >= excess:
                break
            if row.key != keep and self._remove(row.key):
                freed += row.bytes
        return freed

    def clear(self) -> int:
        """Remove every pass that no run works on; return the bytes freed."""
        return sum(row.bytes for row in self.kept() if self._remove(row.key))

    def _remove(self, key: str) -> bool:
        """Remove a pass, unless a run works on it; tell whether it is gone."""
        try:
            if not FileLock(self._lock(key)).is_free():
                return False
        except OSError:
            pass  # a disk without locks
        folder = self.folder / key[:32]
        (folder / _MARK).unlink(missing_ok=True)  # first, so that half a removal is no pass
        shutil.rmtree(folder, ignore_errors=True)
        return True

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
