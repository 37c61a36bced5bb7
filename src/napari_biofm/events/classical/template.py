"""Template matching with the detection criterion of Clements & Bekkers, Biophys J 73:220 (1997)."""

from __future__ import annotations

import numpy as np
import scipy

from napari_biofm.events.classical.common import BLOCK, Floats, Samples
from napari_biofm.events.classical.filters import extended
from napari_biofm.events.classical.psc import PscDetector
from napari_biofm.events.classical.shape import Shape
from napari_biofm.types import Progress, Task


class TemplateDetector(PscDetector):
    """A template slides along the trace, scaled and shifted to fit at every sample.

    The criterion is the fitted scale over its standard error; the customary threshold is 4. All fits are
    made by FFT and running sums, O(n log n). The template is a short baseline and two decay times of the
    biexponential event.
    """

    name = "template"

    def criterion(self, flat: Samples, sampling_rate: float, shape: Shape) -> Task[tuple[Samples, int]]:
        """Return the detection criterion at the first sample of the template, and its baseline length."""
        wave = shape.wave(sampling_rate, shape.time_to_peak() + 2.0 * shape.decay)
        lead = max(1, round(0.12 * len(wave)))
        template = shape.sign * np.concatenate([np.zeros(lead), wave])
        out = np.empty(len(flat), np.float32)
        block = max(BLOCK, 4 * len(template))
        for start in range(0, len(flat), block):
            stop = min(start + block, len(flat))
            piece = extended(flat, start, stop + len(template) - 1)
            out[start:stop] = detection_criterion(piece, template)
            yield Progress(stop, len(flat), f"template of {1e3 * shape.decay:.3g} ms decay")
        return out, lead


def detection_criterion(trace: Samples, template: Floats) -> Floats:
    """Return scale / standard error of the template's best fit at every position.

    Parameters
    ----------
    trace : (n_samples,).
    template : (m,), m <= n_samples.

    Returns
    -------
    (n_samples - m + 1,) float64, index = first sample of the template.
    """
    data = np.asarray(trace, np.float64)
    data = data - np.median(data)
    m = len(template)
    total = _running_sum(data, m)
    square = _running_sum(data**2, m)
    size = _fft_size(len(data) + m)
    spectrum = np.fft.rfft(data, size) * np.conj(np.fft.rfft(template, size))
    cross = np.fft.irfft(spectrum, size)[: len(data) - m + 1]
    sum_t, sum_tt = float(template.sum()), float((template**2).sum())
    scale = (cross - sum_t * total / m) / max(sum_tt - sum_t**2 / m, 1e-300)
    offset = (total - scale * sum_t) / m
    error = square + scale**2 * sum_tt + m * offset**2
    error -= 2 * (scale * cross + offset * total - scale * offset * sum_t)
    floor = 1e-12 * max(float(square.max()), 1e-300)
    standard = np.sqrt(np.maximum(error, floor) / max(m - 1, 1))
    return np.asarray(scale / standard)


def _running_sum(data: Floats, m: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(data)])
    return np.asarray(total[m:] - total[:-m])


def _fft_size(n: int) -> int:
    return int(scipy.fft.next_fast_len(n, real=True))
