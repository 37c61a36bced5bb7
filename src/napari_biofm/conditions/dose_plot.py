"""A dose-response curve as SVG: wells, curve, EC50 with its interval, or why there is none."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.conditions.dose_response import DoseFit

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 44, 46  # of what surrounds the axes
INK, POINTS, LINE = "#222222", "#4477aa", "#cc6677"


def dose_svg(
    dose: ArrayLike, response: ArrayLike, fit: DoseFit, *, title: str = "", unit: str = "", value: str = ""
) -> str:
    """Return the plot as SVG text; doses of 0 stand at the left of the logarithmic axis.

    Parameters
    ----------
    dose, response : (n,) the values that were fitted.
    fit : of them.
    title, unit, value : of the plot, the doses and the responses.
    """
    x, y = np.asarray(dose, float), np.asarray(response, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    above = x[x > 0]
    if not len(above):
        above = np.array([1.0])
    low, high = float(np.floor(np.log10(above.min()))), float(np.ceil(np.log10(above.max())))
    if low == high:
        high += 1
    zero = low - 0.6
    span = high - zero

    grid = np.linspace(low, high, 121)
    drawn = fit(10**grid) if fit.fitted and not fit.reason else np.zeros(0)
    lowest, highest = _range(np.concatenate([y, drawn]))

    def across(log_dose: float) -> float:
        return LEFT + 10 + (log_dose - zero) / span * (WIDTH - LEFT - RIGHT - 20)

    def up(number: float) -> float:
        return HEIGHT - BOTTOM - (number - lowest) / (highest - lowest) * (HEIGHT - TOP - BOTTOM)

    parts = _axes(low, high, zero if (x == 0).any() else None, _ticks(lowest, highest), across, up)
    if len(drawn):
        points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(grid, drawn, strict=True))
        at = across(float(np.log10(fit.ec50)))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="2"/>')
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{LINE}" '
            'stroke-dasharray="3 3"/>'
        )
        said = f"EC50 {fit.ec50:.3g} ({fit.ec50_low:.3g} to {fit.ec50_high:.3g}) {unit}, Hill {fit.hill:.2g}, n = {fit.n}"
    else:
        said = f"no EC50: {fit.reason}"
    for a, b in zip(x, y, strict=True):
        place = across(float(np.log10(a)) if a > 0 else zero)
        parts.append(
            f'<circle cx="{place:.1f}" cy="{up(float(b)):.1f}" r="3" fill="{POINTS}" fill-opacity="0.7"/>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts += [
        _text(LEFT, 18, title, "start", 14), _text(LEFT, 34, said, "start", 10),
        _text(middle, HEIGHT - 8, f"dose ({unit})" if unit else "dose", "middle", 12),
        f'<g transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)">{_text(0, 0, value, "middle", 12)}</g>',
    ]  # fmt: skip
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def _axes(low, high, zero, ticks, across, up) -> list[str]:  # type: ignore[no-untyped-def]  # two closures of the plot
    floor, side = HEIGHT - BOTTOM, LEFT
    lines = [f"M{side} {TOP}V{floor}H{WIDTH - RIGHT}"]
    texts = []
    for power in range(int(low), int(high) + 1):
        lines.append(f"M{across(power):.1f} {floor}v5")
        texts.append(_text(across(power), floor + 17, f"{10.0**power:g}", "middle", 10))
    if zero is not None:
        lines.append(f"M{across(zero):.1f} {floor}v5")
        texts.append(_text(across(zero), floor + 17, "0", "middle", 10))
    for tick in ticks:
        lines.append(f"M{side} {up(tick):.1f}h-5")
        texts.append(_text(side - 8, up(tick) + 3.5, f"{tick:g}", "end", 10))
    return [f'<path d="{" ".join(lines)}" fill="none" stroke="{INK}"/>', *texts]


def _text(x: float, y: float, text: str, anchor: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}" fill="{INK}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _range(y: NDArray[np.float64]) -> tuple[float, float]:
    if not len(y):
        return 0.0, 1.0
    low, high = float(y.min()), float(y.max())
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= raw))
    first = int(np.ceil(low / step))
    return [float(f"{i * step:.10g}") for i in range(first, int(np.floor(high / step)) + 1)]
