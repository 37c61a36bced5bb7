"""What an image must be before a model sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from napari_biofm.types import Image, ImageError, LazyArray

SMALL = 1e-4  # largest value of float images in SI units (A, W): what counts as nothing elsewhere is not small beside them
LARGER = 2.0**40  # by which they are multiplied
NOT_FINITE = "{} holds no finite value, only NaN or inf; export it again from its source."


def check_finite(image: LazyArray | ArrayLike, name: str = "the image") -> None:
    """Refuse an image without a single finite value.

    Parameters
    ----------
    image : array of any shape and dtype.
    name : used in messages.

    Raises
    ------
    ImageError
        If every value is NaN or infinite.
    """
    array = np.asarray(image)
    if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
        raise ImageError(NOT_FINITE.format(name))


def check_image(image: LazyArray | ArrayLike, name: str = "the image") -> Image:
    """Return `image` as an array that is safe to compute with.

    Booleans become uint8; NaN and infinities of a float image become its finite minimum and maximum,
    so that a few bad pixels do not spoil the rest. Float images of values below 1e-4, as in SI units, are multiplied by 2 to the 40.

    Parameters
    ----------
    image : (Y, X), (Y, X, C) or (Z, Y, X), any real dtype.
    name : used in messages.

    Raises
    ------
    ImageError
        If there are no pixels, no finite value, complex values, or an odd number of dimensions.
    """
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ImageError(f"{name} holds values of type {array.dtype}; give an image of real numbers.")
    if array.ndim not in (2, 3, 4):
        raise ImageError(f"{name} has shape {array.shape}; give (Y, X), (Y, X, C) or (Z, Y, X).")
    if array.size == 0:
        raise ImageError(f"{name} is empty (shape {array.shape}); check that the file was saved completely.")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind != "f":
        return array
    finite = np.isfinite(array)
    if finite.all():
        return in_usual_size(array)
    if not finite.any():
        raise ImageError(NOT_FINITE.format(name))
    values = array[finite]
    filled: Image = np.nan_to_num(array, nan=values.min(), neginf=values.min(), posinf=values.max())
    return in_usual_size(filled)


def in_usual_size(image: Image) -> Image:
    """Return an image whose values are not so small that computing takes them for nothing.

    Parameters
    ----------
    image : of any shape and dtype. Float images of values below 1e-4, as in SI units, are multiplied by 2 to the 40.
    """
    if image.dtype.kind != "f" or not image.size:
        return image
    largest = max(abs(float(np.nanmin(image))), abs(float(np.nanmax(image))))
    return np.asarray(image, np.float64) * LARGER if 0 < largest < SMALL else image
