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
        self._smooth = _smoothed(np.asarray(reference, np.float32))
        self._shapes: tuple[NDArray[np.float64], ...] | None = None  # reference, gradient, curvature
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

    def find_finely(self, picture: NDArray[np.floating]) -> tuple[float, float]:
        """Return (y, x) pixels as `find`, then fitted by least squares where both pictures overlap.

        Phase correlation weighs all frequencies alike, noise too; with the shift known to a pixel, the fit of the
        reference, its gradient and its curvature to the picture is several times as exact in dim movies.
        """
        coarse = self.find(picture)
        smooth = _smoothed(np.asarray(picture, np.float32))
        if self._shapes is None:
            self._shapes = _expansion(self._smooth)
        at = np.array(coarse)
        for _ in range(2):
            whole = np.round(at).astype(int)
            cuts = [_overlap(int(far), n) for far, n in zip(whole, self.shape, strict=True)]
            (there_y, here_y), (there_x, here_x) = cuts
            if min(smooth[here_y, here_x].shape) < 8:
                return coarse
            part = smooth[here_y, here_x].ravel().astype(np.float64)
            level, gy, gx, yy, yx, xx = (one[there_y, there_x].ravel() for one in self._shapes)
            left = at - whole
            for _ in range(2):  # the curvature at the shift so far, then a step along the gradient
                bent = level + 0.5 * (left[0] ** 2 * yy + 2 * left[0] * left[1] * yx + left[1] ** 2 * xx)
                slope_y = -gy + left[0] * yy + left[1] * yx
                slope_x = -gx + left[1] * xx + left[0] * yx
                model = bent - left[0] * gy - left[1] * gx
                design = np.stack([slope_y, slope_x, model, np.ones_like(model)])
                normal = design @ design.T + 1e-9 * np.eye(4)
                step = np.linalg.solve(normal, design @ part)
                scale = step[2] if step[2] > 0.05 else 1.0
                left = left + np.clip(step[:2] / scale, -0.5, 0.5)
            if np.abs(left).max() > 1.0:
                return coarse
            at = whole + left
            if (np.round(at) == whole).all():
                break
        return float(at[0]), float(at[1])

    def _spectrum(self, picture: NDArray[np.float32]) -> NDArray[np.complexfloating[Any, Any]]:
        spectrum = np.fft.rfft2((picture - picture.mean()) * self._taper)
        return spectrum / np.maximum(np.abs(spectrum), 1e-9)


def _smoothed(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(picture, SMOOTH), np.float32)


def _expansion(picture: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Return a picture, its gradient (y, x) and its curvature (yy, yx, xx)."""
    level = picture.astype(np.float64)
    gy, gx = (np.asarray(one, np.float64) for one in np.gradient(level))
    yy, yx = (np.asarray(one, np.float64) for one in np.gradient(gy))
    return level, gy, gx, yy, yx, np.asarray(np.gradient(gx, axis=1), np.float64)


def _overlap(far: int, n: int) -> tuple[slice, slice]:
    """Return what of a reference, and where in a picture that lies `far` pixels further on, both have."""
    return (slice(0, n - far), slice(far, n)) if far >= 0 else (slice(-far, n), slice(0, n + far))


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
