"""What a measurement of motion has found so far, kept in a file so that a run that was cut off goes on."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write, numpy_archive
from napari_biofm.images.motion.settings import MotionSettings
from napari_biofm.types import ImageError, LazyArray

EVERY_S = 20.0  # how often the file is written
_LOOKED_AT = 5  # frames that say whether it is the same movie


class Unfinished:
    """Shifts measured so far.

    Parameters
    ----------
    path : of the file, None keeps nothing.
    key : says which movie and settings they belong to.
    found : arrays of a former run, empty if there is none.
    """

    def __init__(self, path: Path | None, key: str, found: dict[str, NDArray[Any]]) -> None:
        self._path, self._key, self._found = path, key, found
        self._written = time.monotonic()

    @classmethod
    def of(cls, path: Path | None, movie: LazyArray, settings: MotionSettings) -> Unfinished:
        """Return what a former run of this movie with these settings has left, if anything."""
        if path is None:
            return cls(None, "", {})
        digest = hashlib.sha256(repr((tuple(int(n) for n in movie.shape), settings)).encode())
        for at in np.linspace(0, int(movie.shape[0]) - 1, _LOOKED_AT).astype(int):
            digest.update(np.ascontiguousarray(movie[int(at) : int(at) + 1]).tobytes())
        key, found = digest.hexdigest(), {}
        if path.is_file():
            try:
                with numpy_archive(path) as archive:
                    found = {name: np.asarray(archive[name]) for name in archive}
            except (ValueError, OSError) as error:
                raise ImageError(f"{path} cannot be read; remove it to begin again") from error
            if str(found.get("key", "")) != key:
                found = {}  # of another movie or other settings
        return cls(path, key, found)

    @property
    def template(self) -> NDArray[np.float32] | None:
        """The template of the former run, (Y, X), or None."""
        return self._found.get("template")

    def restore(self, shifts: NDArray[np.float32], fields: NDArray[np.float32] | None) -> int:
        """Put in what is known and return the frame to go on with."""
        if "done" not in self._found:
            return 0
        done = int(self._found["done"])
        shifts[:done] = self._found["shifts"][:done]
        if fields is not None:
            fields[:done] = self._found["fields"][:done]
        return done

    def keep(
        self,
        done: int,
        template: NDArray[np.float32],
        shifts: NDArray[np.float32],
        fields: NDArray[np.float32] | None,
    ) -> None:
        """Write what is known after `done` frames, if the last time is long ago."""
        if self._path is None or time.monotonic() - self._written < EVERY_S:
            return
        arrays: dict[str, Any] = {
            "key": np.array(self._key), "done": np.array(done), "template": template, "shifts": shifts[:done],
        }  # fmt: skip
        if fields is not None:
            arrays["fields"] = fields[:done]
        with atomic_write(self._path, result=False) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
        self._written = time.monotonic()

    def done(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
