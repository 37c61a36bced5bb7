"""A folder of images worked through one by one: which are done, where their labels are, what comes next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write, write_text
from napari_biofm.images.io.files import read_image as _read
from napari_biofm.images.io.files import read_stored
from napari_biofm.types import ImageError

ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
STATE = "series.json"


@dataclass(frozen=True)
class Entry:
    """One image of a series: its file, where its labels go, and whether it is done."""

    path: Path
    labels: Path
    done: bool


class Series:
    """The images of a folder and how far one is.

    Parameters
    ----------
    folder : with images; files that end in `_mask` or `_labels` are labels, not images.
    output : where labels and the progress are kept; `folder/labels` when not given.

    Raises
    ------
    ImageError : if there are no images.
    """

    def __init__(self, folder: str | Path, output: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.output = Path(output) if output is not None else self.folder / "labels"
        self.paths = sorted(
            p
            for p in self.folder.glob("*")
            if p.suffix.lower() in ENDINGS and not p.stem.endswith(("_mask", "_labels", "_clicks"))
        )
        if not self.paths:
            raise ImageError(f"{self.folder} holds no images ({', '.join(ENDINGS)}); choose another folder.")
        self._done = self._load()

    def __len__(self) -> int:
        return len(self.paths)

    def entry(self, number: int) -> Entry:
        """Return the entry at a place in the series."""
        path = self.paths[number]
        return Entry(path, self.output / f"{path.stem}_labels.tif", path.name in self._done)

    @property
    def n_done(self) -> int:
        """Number of images that are done."""
        return sum(p.name in self._done for p in self.paths)

    def next_open(self, after: int = -1) -> int | None:
        """Return the place of the next image that is not done, beginning after `after` and going round
        once.
        """
        for step in range(1, len(self.paths) + 1):
            number = (after + step) % len(self.paths)
            if not self.entry(number).done:
                return number
        return None

    def load_labels(self, number: int) -> NDArray[Any] | None:
        """Return the labels saved for an image, or None."""
        path = self.entry(number).labels
        return read_stored(path) if path.exists() else None

    def save_labels(self, number: int, labels: NDArray[Any], done: bool = True) -> Path:
        """Write the labels of an image, whole or not at all, and note whether it is done."""
        import tifffile

        entry = self.entry(number)
        with atomic_write(entry.labels) as part:
            tifffile.imwrite(part, np.asarray(labels), compression="zlib")
        if done:
            self._done.add(entry.path.name)
        else:
            self._done.discard(entry.path.name)
        self._save()
        return entry.labels

    def _load(self) -> set[str]:
        path = self.output / STATE
        if not path.exists():
            return set()
        try:
            names = json.loads(path.read_text(encoding="utf-8"))["done"]
            return {str(n) for n in names}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImageError(
                f"{path}: the progress of the series cannot be read ({error}); remove it."
            ) from error

    def _save(self) -> None:
        write_text(self.output / STATE, json.dumps({"done": sorted(self._done)}, indent=1))


def read_image(path: str | Path) -> NDArray[Any]:
    """Read one image of a series."""
    return _read(Path(path))
