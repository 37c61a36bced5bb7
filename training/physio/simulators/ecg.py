"""Electrocardiograms: sinus rhythm, atrial fibrillation, ectopic beats, and what electrodes add.

Ranges: waves as sums of Gaussians (McSharry et al. 2003 IEEE Trans Biomed Eng 50:289); 35 to 200 per minute,
RR variation 1 to 10 % in sinus rhythm, 10 to 35 % in atrial fibrillation with fibrillatory waves of 4 to 10
Hz (Petrutiu et al. 2007 Europace 9:466); QRS 60 to 120 ms, 120 to 200 ms in ventricular beats; baseline
wander below 0.7 Hz, muscle noise, mains hum, electrode movement (Moody et al. 1984 Comput Cardiol 11:381).
"""

from __future__ import annotations

import numpy as np

from .crop import LENGTH, Crop, add_at, log_uniform
from .noise import coloured, drift, faults, restless

R = 6
SILENT = 0.15  # of the simulated windows hold no beat


def draw_ecg(rng: np.random.Generator) -> Crop:
    """Draw one window of a single-lead electrocardiogram."""
    fs = log_uniform(rng, 177, 353)
    af = rng.random() < 0.3
    rr = 60 / log_uniform(rng, 38, 190)
    spread = rng.uniform(0.1, 0.35) if af else rng.uniform(0.01, 0.1)
    bump = lambda t, at, width, a: a * np.exp(-0.5 * ((t - at) / width) ** 2)  # noqa: E731
    t = np.arange(-int(0.35 * fs), int(0.55 * fs)) / fs
    width = rng.uniform(0.008, 0.02)
    pr = rng.uniform(0.12, 0.2)
    big = rng.choice([1.0, 1.0, -1.0])
    p = 0.0 if af else rng.uniform(0.03, 0.25)
    beat = bump(t, 0, width, 1.0) + bump(t, -2.2 * width, width, -rng.uniform(0, 0.35))
    beat += bump(t, 2.4 * width, width * 1.1, -rng.uniform(0, 0.6)) + bump(t, -pr, 0.022, p)
    qt = min(0.3, 0.55 * rr) * rng.uniform(0.8, 1.15)
    beat += bump(t, qt, 0.05 * rng.uniform(0.7, 1.4), rng.choice([1, 1, -0.5]) * rng.uniform(0.03, 0.5))
    wide = bump(t, 0, rng.uniform(0.03, 0.055), rng.choice([1.0, -1.0]) * rng.uniform(0.8, 1.8))
    wide += bump(t, 0.25, 0.06, -np.sign(wide[np.argmax(np.abs(wide))]) * rng.uniform(0.2, 0.6))
    ectopic = rng.choice([0.0, 0.12], p=[0.6, 0.4])
    trace, rows = np.zeros(LENGTH), []
    at, phase = rng.uniform(-0.5, rr), rng.uniform(0, 6.28)
    while at < LENGTH / fs + 0.4:
        premature = rng.random() < ectopic
        wave = wide if premature and rng.random() < 0.6 else beat
        start = round(at * fs) + int(t[0] * fs)
        add_at(trace, big * wave * (1 + 0.05 * rng.normal()), start)
        if 0 <= round(at * fs) < LENGTH:
            rows.append((float(round(at * fs)), big * float(wave[np.argmin(np.abs(t))])))
        step = rr * (1 + spread * rng.normal()) + 0.04 * rr * np.sin(2 * np.pi * 0.25 * at + phase)
        at += max(0.24, step * (1.35 if premature else 1.0) * (0.65 if rng.random() < ectopic else 1.0))
    if af:
        f = rng.uniform(4, 10)
        trace += rng.uniform(0.01, 0.1) * np.sin(
            2 * np.pi * f * np.arange(LENGTH) / fs + np.cumsum(rng.normal(size=LENGTH)) * 0.05
        )
    noise = coloured(rng)
    if rng.random() < SILENT:  # an electrode off the skin
        trace, rows, noise = np.zeros(LENGTH), [], restless(rng, fs)
    x = trace + log_uniform(rng, 0.005, 0.5) * noise
    if rng.random() < 0.6:
        u = np.arange(LENGTH) / fs
        x = x + log_uniform(rng, 0.05, 1.0) * np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * u + rng.random()))
    if rng.random() < 0.15:
        a = rng.integers(LENGTH)
        x[a : a + 200] += rng.normal() * 2 * drift(rng, len(x[a : a + 200]))
    x, found = faults(rng, x, fs, 0.08, 0.1)
    unit, gain = (
        ("mV", log_uniform(rng, 0.3, 2)) if rng.random() < 0.5 else ("other", log_uniform(rng, 1, 1000))
    )
    table = np.array(rows, float).reshape(-1, 2)
    nan = np.full(len(table), np.nan)
    return Crop(
        (x * gain).astype(np.float32), fs, unit, "ecg", table[:, 0], table[:, 1] * gain, nan, nan,
        np.full(len(table), R), clean=(trace * gain).astype(np.float32),
        faults=(*found, "inverted") if big < 0 else found,
    )  # fmt: skip
