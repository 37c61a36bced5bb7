"""Sample recordings and movies as real files in the user's cache, written when they are asked for first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from napari_biofm import __version__
from napari_biofm.simulate.corecording import simulate_corecording
from napari_biofm.simulate.field import simulate_field
from napari_biofm.simulate.files import write_abf, write_corecording, write_ome_tiff
from napari_biofm.simulate.plate import simulate_plate

CHANNEL_PA, NOISE_PA, CHANNEL_HZ = 2.0, 0.25, 20_000.0  # of the simulated single channel
OPEN_S, CLOSED_S = 0.006, 0.018  # mean dwell times


def sample_folder(name: str) -> Path:
    """Return the folder in the user's cache where a sample is kept."""
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / "samples" / __version__ / name


def corecording_files() -> dict[str, Path]:
    """Return the files of the simulated co-recording: `movie`, `masks`, `truth` and the patch recordings."""
    folder = sample_folder("corecording")
    index = folder / "index.json"
    if index.is_file():
        return {key: folder / name for key, name in json.loads(index.read_text(encoding="utf-8")).items()}
    paths = write_corecording(folder, simulate_corecording(seed=7))
    index.write_text(json.dumps({key: path.name for key, path in paths.items()}), encoding="utf-8")
    return paths


def write_samples(folder: Path, seed: int = 7) -> list[Path]:
    """Write the sample data of the tutorials: images, a movie, recordings, a plate; return their paths.

    Parameters
    ----------
    folder : is made where it is not there; files of the same name are replaced.
    seed : of what is simulated beside the co-recording.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for path in corecording_files().values():
        made.append(folder / path.name)
        shutil.copyfile(path, made[-1])
    for n in range(3):
        field = simulate_field((256, 256), 25, seed=seed + n)
        target = folder / "fields" / f"field{n + 1}.ome.tif"
        target.parent.mkdir(exist_ok=True)
        made.append(write_ome_tiff(target, field.image, "YX", 0.65))
    current = single_channel(4.0, seed)
    made.append(write_abf(folder / "channel.abf", [current], ["Im"], ["pA"], CHANNEL_HZ))
    plate = simulate_plate(seed, n_cells=60)
    for name, table in (("plate_cells.csv", plate.cells), ("plate_map.csv", plate.plate_map)):
        table.to_csv(folder / name, index=False)
        made.append(folder / name)
    return made


def single_channel(duration: float, seed: int = 0) -> np.ndarray:
    """Return the current (n_samples,) in pA of one channel with one open and one closed state, with noise."""
    rng = np.random.default_rng(seed)
    n = round(duration * CHANNEL_HZ)
    state, at = np.zeros(n), 0
    is_open = False
    while at < n:
        length = max(1, round(rng.exponential(OPEN_S if is_open else CLOSED_S) * CHANNEL_HZ))
        state[at : at + length] = is_open
        is_open, at = not is_open, at + length
    return CHANNEL_PA * state + rng.normal(0, NOISE_PA, n)
