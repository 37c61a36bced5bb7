"""Sample recordings and movies as real files in the user's cache, written when they are asked for first."""

from __future__ import annotations

import json
from pathlib import Path

from napari_biofm import __version__
from napari_biofm.simulate.corecording import simulate_corecording
from napari_biofm.simulate.files import write_corecording


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
