"""Image files: read whole, or TIFF opened without reading it, and the axes a TIFF names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import MappedArray, load_numpy, numpy_archive
from napari_biofm.images.io.tiff import TIFF_ENDINGS, opened_tiff, tiff_facts
from napari_biofm.images.io.zarr_images import zarr_image
from napari_biofm.types import ImageError, LazyArray


def read_image(path: Path) -> NDArray[Any]:
    """Read an image of any format tifffile or imageio knows, or an .npy/.npz array.

    Of several images in a TIFF or zarr the largest is read; palettes become colours, alpha is left out.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.

    Raises
    ------
    ImageError
        If the file is missing, damaged, empty, or of no known format.
    """
    return _checked(path, stored=False)


def _checked(path: Path, stored: bool) -> NDArray[Any]:
    if not path.exists():
        raise ImageError(f"{path} does not exist.")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty (0 bytes); copy it again from its source.")
    try:
        array = _read(path, stored)
    except ImageError:
        raise
    except Exception as error:  # readers raise whatever their C libraries do
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ImageError(
            f"{path.name} cannot be read as an image ({reason}). It may be truncated or of another format; "
            "open it in the program that wrote it and save it as TIFF."
        ) from error
    return array


def read_stored(path: Path) -> NDArray[Any]:
    """Read the values a file stores, e.g. of labels: numbers of colours stay numbers, alpha stays a channel.

    Parameters
    ----------
    path : as for `read_image`.

    Raises
    ------
    ImageError
        As `read_image`.
    """
    return _checked(path, stored=True)


def _read(path: Path, stored: bool) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(load_numpy(path))
    if suffix == ".npz":
        with numpy_archive(path) as archive:
            names = archive.files
            if not names:
                raise ImageError(f"{path.name} holds no array.")
            return np.asarray(archive["image" if "image" in names else names[0]])
    if suffix in TIFF_ENDINGS:
        facts = tiff_facts(path)
        with opened_tiff(path) as file:
            values = np.asarray(file.series[facts.series].asarray())
        return values if stored else np.asarray(facts.view(values)[:])
    if suffix == ".zarr":
        return np.asarray(zarr_image(path).array)
    return _read_picture(path, stored)


def _read_picture(path: Path, stored: bool) -> NDArray[Any]:
    """Read PNG, JPEG, BMP and whatever else imageio knows; palettes become colours, alpha is left out."""
    from imageio import v3 as iio
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            mode, plain = picture.mode, getattr(picture, "n_frames", 1) == 1
            if stored and mode == "P" and plain:
                return np.asarray(picture)
    except UnidentifiedImageError:
        mode = ""  # of a format that another part of imageio may know
    array = np.asarray(iio.imread(path))
    coloured = mode in ("P", "PA")
    has_alpha = mode in ("LA", "La", "RGBA", "RGBa") or coloured
    if not stored and has_alpha and array.ndim > 2 and array.shape[-1] in (2, 4):
        array = array[..., :-1]
    if array.ndim > 2 and array.shape[-1] == 1:
        return array[..., 0]
    grey = coloured and array.ndim > 2 and array.shape[-1] == 3 and (array == array[..., :1]).all()
    return array[..., 0] if grey else array


class LazyTiff:
    """Pages of a compressed TIFF, read when sliced; the file is closed with the last reference.

    Parameters
    ----------
    path : the file.
    series : number of the series.
    """

    def __init__(self, path: Path, series: int = 0) -> None:
        import tifffile
        import zarr

        self._file: Any = tifffile.TiffFile(path)
        len(self._file.pages)  # see `opened_tiff`
        self._store: Any = self._file.aszarr(series=series)
        node = zarr.open(self._store, mode="r")
        self._array: Any = node["0"] if isinstance(node, zarr.Group) else node
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype = self._array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index])

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        for held in (getattr(self, "_store", None), getattr(self, "_file", None)):
            if held is not None:
                held.close()


def lazy_tiff(path: Path) -> LazyArray:
    """Return the largest series of a TIFF as a memory map, or as pages that are read when sliced.

    Palettes become colours and alpha is left out, as by `read_image`.
    """
    facts = tiff_facts(path)
    with opened_tiff(path) as file:
        chosen = file.series[facts.series]
        offset, kind = chosen.dataoffset, np.dtype(file.byteorder + chosen.dtype.char)
    if offset is None:  # compressed, or not in one piece
        return facts.view(LazyTiff(path, facts.series))
    end, held = offset + chosen.size * kind.itemsize, path.stat().st_size
    if end > held:
        raise ImageError(f"{path.name} is cut off: it needs {end} bytes and has {held}; copy it again.")
    stored: LazyArray = MappedArray(path, kind, "r", offset, tuple(chosen.shape))
    return facts.view(stored)


def tiff_axes(path: Path) -> str | None:
    """Return the axes of what is read of a TIFF, letters of TZCYXS; None where it names none that are known."""
    if path.suffix.lower() not in TIFF_ENDINGS:
        return None
    import tifffile

    try:
        return tiff_facts(path).axes
    except (OSError, ValueError, IndexError, tifffile.TiffFileError, ImageError):
        return None  # `read_image` gives the error with its remedy
