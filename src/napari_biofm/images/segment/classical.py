"""A segmenter and an embedder without a network: the honest baseline beside the models.

Otsu's threshold (Otsu, IEEE Trans. SMC 9:62, 1979) and a watershed on the distance to the background
(Beucher & Lantuejoul, 1979). Good for bright, round, separate nuclei; weak on phase contrast, stained
tissue and crowded cells. The vectors are statistics of a small bank of Gaussian-derivative filters.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.io.checks import check_image
from napari_biofm.types import (
    Capabilities,
    FeatureMap,
    Image,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
)

SCALES = (0.7, 1.4, 2.8, 5.6)  # pixels, of the filter bank
STRIDE = 2.0


def to_grey(image: Image, percentiles: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Return one plane in 0..1: channels averaged, two percentiles (1 and 99.8) mapped to 0 and 1."""
    plane = np.asarray(image, np.float32)
    if plane.ndim == 3:
        plane = plane.mean(axis=2)
    low, high = np.percentile(plane, percentiles or (1.0, 99.8))
    return np.asarray(np.clip((plane - low) / max(float(high - low), 1e-12), 0, 1), np.float32)


class ClassicalSegmenter:
    """Otsu + watershed for bright objects on a dark ground (or dark on bright where these are fewer)."""

    name = "classical"
    weights_sha256 = ""
    capabilities = Capabilities(segments=True, embeds=True, feature_map=True)

    def segment(self, image: Image, parameters: SegmentationParameters) -> Task[Segmentation]:
        """Return masks of a (Y, X) or (Y, X, C) image; see `types.Segmenter`."""
        pixels = check_image(image)
        yield Progress(0, 3, "threshold")
        grey = to_grey(pixels, parameters.normalise)
        foreground = _foreground(grey)
        yield Progress(1, 3, "split touching objects")
        masks = _split(foreground, parameters)
        yield Progress(2, 3, "features")
        features = filter_bank(grey)
        diameter = _median_diameter(masks)
        return Segmentation(
            masks,
            features=features,
            diameter=diameter,
            provenance={"model": self.name, "diameter_px": diameter, "parameters": asdict(parameters)},
        )

    def embed(self, image: Image) -> Task[FeatureMap]:
        """Return the filter bank of an image; see `types.Embedder`."""
        yield Progress(0, 1, "features")
        return filter_bank(to_grey(check_image(image)))


def _foreground(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    from skimage.filters import threshold_otsu

    smooth = scipy.ndimage.gaussian_filter(grey, 1.0)
    if min(smooth.shape) < 3 or float(np.ptp(smooth)) < 1e-6:
        return np.zeros(grey.shape, bool)
    bright = smooth > threshold_otsu(smooth)
    if bright.mean() > 0.5:  # cells darker than their ground, as in brightfield
        bright = ~bright
    inside, outside = smooth[bright], smooth[~bright]
    if len(inside) == 0 or len(outside) == 0:
        return np.zeros(grey.shape, bool)
    noise = 1.4826 * float(np.median(np.abs(grey - smooth))) + 1e-6
    if abs(float(inside.mean() - outside.mean())) < 3 * noise:  # Otsu splits noise as readily as cells
        return np.zeros(grey.shape, bool)
    return np.asarray(scipy.ndimage.binary_fill_holes(scipy.ndimage.binary_opening(bright)))


def _split(foreground: NDArray[np.bool_], parameters: SegmentationParameters) -> NDArray[np.int32]:
    from skimage.feature import peak_local_max
    from skimage.segmentation import relabel_sequential, watershed

    distance = scipy.ndimage.gaussian_filter(scipy.ndimage.distance_transform_edt(foreground), 1.0)
    radius = (parameters.diameter or 2 * _typical_radius(distance)) / 2
    peaks = peak_local_max(
        distance,
        min_distance=max(1, round(0.7 * radius)),
        labels=foreground.astype(np.int32),
        exclude_border=False,
    )
    seeds = np.zeros(foreground.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    masks = watershed(-distance, seeds, mask=foreground)
    sizes = np.bincount(masks.ravel())
    small = np.flatnonzero(sizes < parameters.min_size)
    masks[np.isin(masks, small)] = 0
    return np.asarray(relabel_sequential(masks)[0], np.int32)


def _typical_radius(distance: NDArray[np.floating[Any]]) -> float:
    parts, n = scipy.ndimage.label(distance > 0)
    if n == 0:
        return 1.0
    peaks = np.atleast_1d(scipy.ndimage.maximum(distance, parts, np.arange(1, n + 1)))
    return float(max(np.median(peaks), 1.0))


def _median_diameter(masks: NDArray[np.int32]) -> float | None:
    sizes = np.bincount(masks.ravel())[1:]
    sizes = sizes[sizes > 0]
    return float(2 * np.sqrt(np.median(sizes) / np.pi)) if len(sizes) else None


def filter_bank(grey: NDArray[np.float32]) -> FeatureMap:
    """Return smoothed intensity, gradient and Laplacian at four scales, every second pixel.

    Parameters
    ----------
    grey : (Y, X) float32 in 0..1.

    Returns
    -------
    FeatureMap
        12 channels, stride 2.
    """
    step = int(STRIDE)
    planes = []
    for sigma in SCALES:
        planes.append(scipy.ndimage.gaussian_filter(grey, sigma)[::step, ::step])
        planes.append(sigma * scipy.ndimage.gaussian_gradient_magnitude(grey, sigma)[::step, ::step])
        planes.append(sigma**2 * scipy.ndimage.gaussian_laplace(grey, sigma)[::step, ::step])
    data = np.stack(planes).astype(np.float16)
    return FeatureMap(data, STRIDE, (grey.shape[0], grey.shape[1]), "filter-bank")
