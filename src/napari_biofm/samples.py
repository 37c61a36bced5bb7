"""Sample data of *File > Open Sample*: simulated, written as real files, read back by the real readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_biofm import __version__

LayerData = list[tuple[Any, dict[str, Any], str]]
PIXEL_UM = 0.65


def sample_folder(name: str) -> Path:
    """Return the folder in the user's cache where a sample is kept."""
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / "samples" / __version__ / name


def corecording_files() -> dict[str, Path]:
    """Return the files of the simulated co-recording, written at the first call."""
    import json

    folder = sample_folder("corecording")
    index = folder / "index.json"
    if index.is_file():
        return {key: folder / name for key, name in json.loads(index.read_text(encoding="utf-8")).items()}
    from napari_biofm.simulate import simulate_corecording, write_corecording

    paths = write_corecording(folder, simulate_corecording(seed=7))
    index.write_text(json.dumps({key: path.name for key, path in paths.items()}), encoding="utf-8")
    return paths


def corecording() -> LayerData:
    """Return a calcium movie; its patch recordings open in the trace dock."""
    import napari
    import tifffile

    from napari_biofm.readers import read

    paths = corecording_files()
    movie = tifffile.imread(paths["movie"])
    if napari.current_viewer() is not None:
        read([str(paths["current_clamp"]), str(paths["voltage_clamp"])])
    options = {
        "name": "calcium movie",
        "scale": (1, PIXEL_UM, PIXEL_UM),
        "units": ("pixel", "um", "um"),
        "contrast_limits": (100, 900),
        "metadata": {"path": str(paths["movie"]), "frame_rate_hz": 20.0},
    }
    return [(movie, options, "image")]


def field() -> LayerData:
    """Return one image of cells of three kinds."""
    from napari_biofm.simulate import simulate_field

    image = simulate_field((512, 512), 120, seed=3).image
    return [(image, {"name": "cells", "scale": (PIXEL_UM, PIXEL_UM), "units": ("um", "um")}, "image")]


def stack() -> LayerData:
    """Return a z-stack of nuclei."""
    from napari_biofm.simulate import simulate_stack

    image = simulate_stack(seed=3).image
    return [(image, {"name": "nuclei", "scale": (2.0, 1.0, 1.0)}, "image")]
