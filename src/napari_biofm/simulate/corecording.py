"""One afternoon at the rig: a calcium movie of a field and, at the same time, a patched cell in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.simulate.activity import CalciumKinetics, calcium_traces, spike_trains
from napari_biofm.simulate.field import Field, simulate_field
from napari_biofm.simulate.patch import PatchTrace, current_clamp, voltage_clamp


@dataclass(frozen=True)
class CoRecording:
    """A simulated co-recording and everything that is true about it.

    Attributes
    ----------
    field : the cells.
    movie : (T, Y, X) uint16.
    frame_rate : nominal, Hz, on the camera's own clock.
    frame_times : (T,) start of each frame, seconds on the recording's clock.
    offset, drift : frame_times = offset + (1 + drift) * frame / frame_rate.
    spikes : spike times of each cell, seconds on the recording's clock.
    dff : (n_cells, T) noise-free dF/F.
    patched : label of the patched cell.
    current : current clamp during the movie, from recording time 0.
    trigger : (n_samples,) volts; 5 V for 2 ms at each frame start.
    voltage : voltage clamp of the same cell, recorded after the movie.
    shifts : (T, 2) movement of the field, pixels.
    """

    field: Field
    movie: NDArray[np.uint16]
    frame_rate: float
    frame_times: NDArray[np.float64]
    offset: float
    drift: float
    spikes: list[NDArray[np.float64]]
    dff: NDArray[np.float64]
    patched: int
    current: PatchTrace
    trigger: NDArray[np.float64]
    voltage: PatchTrace
    shifts: NDArray[np.float64]


def simulate_corecording(
    shape: tuple[int, int] = (192, 192),
    n_cells: int = 30,
    n_frames: int = 400,
    frame_rate: float = 20.0,
    offset: float = 0.731,
    drift: float = 4e-5,
    sampling_rate: float = 20_000.0,
    motion: float = 0.4,
    kinetics: CalciumKinetics | None = None,
    seed: int = 0,
) -> CoRecording:
    """Simulate a movie, its cells' spikes and the patch recording of one of them.

    Parameters
    ----------
    shape : (Y, X) of the movie, pixels.
    n_cells : number of cells wanted.
    n_frames, frame_rate : length of the movie and its rate (Hz).
    offset : seconds from the start of the recording to the first frame.
    drift : relative difference of the camera's clock from the amplifier's.
    sampling_rate : of the patch recording, Hz.
    motion : standard deviation of the slow movement of the field, pixels.
    kinetics : of the indicator, GCaMP6f when not given.
    seed : the same seed gives the same co-recording, bit by bit.
    """
    rng = np.random.default_rng(seed)
    cells = simulate_field(shape, n_cells, radius=8.0, seed=seed)
    n = len(cells.centres)
    frame_times = np.asarray(offset + (1 + drift) * np.arange(n_frames) / frame_rate, np.float64)
    duration = float(frame_times[-1] + 1.0)
    spikes = spike_trains(n, duration, seed=seed + 1)
    dff = calcium_traces(spikes, frame_times + 0.5 / frame_rate, kinetics)
    centre = np.asarray(shape) / 2
    active = np.array([len(s) for s in spikes]) >= min(8, max((len(s) for s in spikes), default=0))
    distance = np.linalg.norm(cells.centres - centre, axis=1) + 1e6 * ~active
    patched = int(np.argmin(distance)) + 1
    shifts = scipy.ndimage.gaussian_filter1d(rng.normal(0, 1, (n_frames, 2)), 25, axis=0, mode="nearest")
    shifts = np.asarray(shifts) * motion / (shifts.std() + 1e-9)
    movie = _movie(rng, cells, dff, frame_times, shifts)
    current = current_clamp(spikes[patched - 1], duration, sampling_rate, seed + 2)
    trigger = _trigger(frame_times, len(current.values), sampling_rate)
    voltage = voltage_clamp(20.0, sampling_rate, seed=seed + 3)
    return CoRecording(
        cells,
        movie,
        frame_rate,
        frame_times,
        offset,
        drift,
        spikes,
        dff,
        patched,
        current,
        trigger,
        voltage,
        shifts,
    )


def _movie(
    rng: np.random.Generator,
    cells: Field,
    dff: NDArray[np.float64],
    frame_times: NDArray[np.float64],
    shifts: NDArray[np.float64],
) -> NDArray[np.uint16]:
    """Render frames: cell light and neuropil, bleaching, movement, shot and read noise."""
    n_frames, (height, width) = len(frame_times), cells.masks.shape
    level = rng.uniform(150, 250, len(dff)) * np.where(cells.classes == "bright", 2.2, 1.0)
    rest = np.concatenate([[0.0], level])[cells.masks]
    neuropil = 60 + 25 * scipy.ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), 20) * 20
    shared = (
        0.5 * dff.mean(axis=0) + 0.02 * scipy.ndimage.gaussian_filter1d(rng.normal(0, 1, n_frames), 10) * 5
    )
    bleach = 0.88 + 0.12 * np.exp(-(frame_times - frame_times[0]) / 20.0)
    movie = np.empty((n_frames, height, width), np.uint16)
    factors = np.concatenate([np.zeros((1, n_frames)), dff])
    for t in range(n_frames):
        light = rest * (1 + factors[cells.masks, t]) + neuropil * (1 + shared[t])
        light = (
            scipy.ndimage.shift(scipy.ndimage.gaussian_filter(light, 0.9), shifts[t], order=1, mode="nearest")
            * bleach[t]
        )
        counts = rng.poisson(np.maximum(light, 0)) + rng.normal(100, 3, light.shape)
        movie[t] = np.clip(counts, 0, 4095)
    return movie


def _trigger(frame_times: NDArray[np.float64], n: int, fs: float) -> NDArray[np.float64]:
    trigger = np.zeros(n)
    for start in np.round(frame_times * fs).astype(int):
        trigger[start : start + round(0.002 * fs)] = 5.0
    return trigger
