"""How far one picture lies from another, in fractions of a pixel.

Sources: phase correlation, Kuglin & Hines, Proc. IEEE Cybernetics and Society (1975); its smoothed form on noisy
movies as in suite2p (Pachitariu et al., bioRxiv 061507, 2017). With a Gaussian low pass the peak is a Gaussian, whose
middle a parabola through the logarithms of its neighbours gives exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMOOTH = 1.15  # pixels, standard deviation of the low pass


class ShiftFinder:
    """Finds how far pictures lie from a reference.

    Parameters
    ----------
    reference : (Y, X), finite.
    most : largest shift looked for along each axis, pixels; None for half of the picture.
    smooth : pixels, standard deviation of the low pass.
    """

    def __init__(
        self, reference: NDArray[np.floating], most: float | None = None, smooth: float = SMOOTH
    ) -> None:
        self.shape = reference.shape
        height, width = self.shape
        self._taper = np.outer(_taper(height), _taper(width)).astype(np.float32)
        fy = np.fft.fftfreq(height)[:, None]
        fx = np.fft.rfftfreq(width)[None, :]
        low_pass = np.exp(-2 * (np.pi * smooth) ** 2 * (fy**2 + fx**2))
        spectrum = self._spectrum(np.asarray(reference, np.float32))
        self._reference = (np.conj(spectrum) * low_pass).astype(np.complex64)
        reach = [n // 2 if most is None else min(int(np.ceil(most)), n // 2) for n in self.shape]
        self._allowed = np.logical_and.outer(*(_near(n, r) for n, r in zip(self.shape, reach, strict=True)))

    def find(self, picture: NDArray[np.floating]) -> tuple[float, float]:
        """Return (y, x) pixels by which a picture (Y, X) lies below and right of the reference."""
        surface = np.fft.irfft2(self._spectrum(np.asarray(picture, np.float32)) * self._reference, self.shape)
        surface = np.where(self._allowed, surface, -np.inf)
        y, x = (int(i) for i in np.unravel_index(int(np.argmax(surface)), self.shape))
        height, width = self.shape
        down = surface[[y - 1, y, (y + 1) % height], x]
        right = surface[y, [x - 1, x, (x + 1) % width]]
        return _signed(y, height) + _peak_between(down), _signed(x, width) + _peak_between(right)

    def _spectrum(self, picture: NDArray[np.float32]) -> NDArray[np.complexfloating[Any, Any]]:
        spectrum = np.fft.rfft2((picture - picture.mean()) * self._taper)
        return spectrum / np.maximum(np.abs(spectrum), 1e-9)


def _taper(n: int) -> NDArray[np.float64]:
    """Return a window (n,) that is flat inside and falls to zero within an eighth at both ends."""
    edge = max(n // 8, 1)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    window = np.ones(n)
    window[:edge], window[n - edge :] = ramp, ramp[::-1]
    return window


def _near(n: int, reach: int) -> NDArray[np.bool_]:
    return np.abs(np.fft.fftfreq(n, 1 / n)) <= reach


def _signed(i: int, n: int) -> int:
    return i if i <= n // 2 else i - n


def _peak_between(three: NDArray[np.floating]) -> float:
    """Return where, -.5 to .5, the peak of a Gaussian through three samples lies, the middle one being the highest."""
    if not np.isfinite(three).all():
        return 0.0
    three = np.asarray(three, np.float64)
    if three.min() > 0:
        three = np.log(three)
    bend = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / bend, -0.5, 0.5)) if bend < 0 else 0.0
