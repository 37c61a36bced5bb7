"""Deconvolution, after Pernia-Andrade et al., Biophys J 103:1429 (2012)."""

from __future__ import annotations

import numpy as np
import scipy

from napari_biofm.events.classical.common import Floats, Samples, noise_sd
from napari_biofm.events.classical.filters import convolve, gaussian_derivatives
from napari_biofm.events.classical.psc import PscDetector
from napari_biofm.events.classical.shape import Shape
from napari_biofm.types import Task


class DeconvolutionDetector(PscDetector):
    """The trace divided by the event in the frequency domain, times a Gaussian low-pass filter.

    Events become narrow peaks at their onsets; the criterion is their height in standard deviations of a
    Gaussian fitted to the all-point histogram, customary threshold 4. For a biexponential event the
    quotient is known in closed form: the event is ``exp(-a t) - exp(-b t)`` with a = 1 / decay and
    b = a + 1 / rise, its transform is (b - a) / ((s + a) (s + b)), so that dividing by it and filtering
    with the Gaussian g is one short kernel, ``(g'' + (a + b) g' + a b g) / (b - a)``: no noise is blown up
    beyond the filter and no block edges appear.
    """

    name = "deconvolution"

    def criterion(self, flat: Samples, sampling_rate: float, shape: Shape) -> Task[tuple[Samples, int]]:
        """Return the deconvolved trace in standard deviations of its noise."""
        kernel = deconvolution_kernel(sampling_rate, shape)
        message = f"deconvolution, {1e3 * shape.rise:.2g} / {1e3 * shape.decay:.3g} ms"
        quotient = yield from convolve(flat, shape.sign * kernel, len(kernel) // 2, message)
        mean, sd = gaussian_fit(quotient)
        quotient -= np.float32(mean)
        quotient /= np.float32(max(sd, 1e-30))
        return quotient, 0


def deconvolution_kernel(sampling_rate: float, shape: Shape) -> Floats:
    """Return (2 r + 1,) the inverse of the event after a Gaussian of a fifth of its decay time.

    For a decay of 5 ms that is the customary low-pass near 200 Hz.
    """
    sigma = max(0.7, float(np.clip(0.2 * shape.decay, 0.15e-3, 3e-3)) * sampling_rate)
    bell, first, second = gaussian_derivatives(sigma)
    a = 1 / (shape.decay * sampling_rate)
    b = a + 1 / (shape.rise * sampling_rate)
    return np.asarray((second + (a + b) * first + a * b * bell) / (b - a))


def gaussian_fit(values: Samples) -> tuple[float, float]:
    """Return mean and standard deviation of a Gaussian fitted to the all-point histogram.

    Only the middle of the histogram is fitted (within 3 robust sd), so that events do not widen it.
    """
    sample = values[:: max(1, len(values) // 500_000)]
    centre, spread = float(np.median(sample)), noise_sd(sample)
    if spread <= 0:
        return centre, float(sample.std())
    counts, edges = np.histogram(sample, 80, (centre - 3 * spread, centre + 3 * spread))
    middle = 0.5 * (edges[1:] + edges[:-1])

    def bell(x: Floats, height: float, mean: float, sd: float) -> Floats:
        return np.asarray(height * np.exp(-0.5 * ((x - mean) / sd) ** 2))

    try:
        (_, mean, sd), _ = scipy.optimize.curve_fit(
            bell, middle, counts, (counts.max(), centre, spread), maxfev=200
        )
    except RuntimeError:  # too few samples to make a bell of
        return centre, spread
    good = abs(mean - centre) < spread and 0.3 * spread < abs(sd) < 2 * spread
    return (float(mean), float(abs(sd))) if good else (centre, spread)
