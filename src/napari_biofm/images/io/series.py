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
from napari_biofm.images.io.masks import read_labels
from napari_biofm.images.io.names import SERIES as STATE
from napari_biofm.images.io.names import is_mask_name, result_names, stem_of
from napari_biofm.types import ImageError

# labels of two images never share a file, see `names`; which image a file belongs to is kept with the progress
ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")


@dataclass(frozen=True)
class Entry:
    """One image of a series: its file, where its labels go, whether it is done, and what it is called."""

    path: Path
    labels: Path
    done: bool
    name: str


class Series:
    """The images of a folder and how far one is.

    Parameters
    ----------
    folder : with images; files called like masks (`_mask`, `_labels`) are none.
    output : where labels and the progress are kept; `folder/labels` when not given.

    Raises
    ------
    ImageError : if there are no images.
    """

    def __init__(self, folder: str | Path, output: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.output = Path(output) if output is not None else self.folder / "labels"
        self.paths = sorted(
            p for p in self.folder.glob("*") if p.suffix.lower() in ENDINGS and not is_mask_name(p)
        )
        if not self.paths:
            raise ImageError(f"{self.folder} holds no images ({', '.join(ENDINGS)}); choose another folder.")
        self._done, self._named = self._load()
        self._names = result_names(self.paths, self._named)

    def __len__(self) -> int:
        return len(self.paths)

    def entry(self, number: int) -> Entry:
        """Return the entry at a place in the series."""
        path = self.paths[number]
        name = self._names[path]
        return Entry(path, self.output / f"{name}_labels.tif", path.name in self._done, name)

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
        return read_labels(path) if path.exists() else None

    def save_labels(self, number: int, labels: NDArray[Any], done: bool = True) -> Path:
        """Write the labels of an image, whole or not at all, and note whether it is done."""
        import tifffile

        entry = self.entry(number)
        with atomic_write(entry.labels) as part:
            tifffile.imwrite(part, np.asarray(labels), compression="zlib")
        self._named[self._names[entry.path]] = entry.path.name
        if done:
            self._done.add(entry.path.name)
        else:
            self._done.discard(entry.path.name)
        self._save()
        return entry.labels

    def _load(self) -> tuple[set[str], dict[str, str]]:
        """Return the names of images that are done, and of which image the files of labels are."""
        path = self.output / STATE
        if not path.exists():
            return set(), {}
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            done = {str(n) for n in state["done"]}
            named = {str(name): str(image) for name, image in state.get("names", {}).items()}
            for image in done - set(named.values()):  # written before names were kept
                named.setdefault(stem_of(Path(image)), image)
            return done, named
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ImageError(
                f"{path}: the progress of the series cannot be read ({error}); remove it."
            ) from error

    def _save(self) -> None:
        write_text(
            self.output / STATE, json.dumps({"done": sorted(self._done), "names": self._named}, indent=1)
        )


def read_image(path: str | Path) -> NDArray[Any]:
    """Read one image of a series."""
    return _read(Path(path))
