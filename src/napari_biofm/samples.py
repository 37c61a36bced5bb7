"""Sample data of *File > Open Sample*: simulated, written as real files, read back by the real readers."""

from __future__ import annotations

from typing import Any

LayerData = list[tuple[Any, dict[str, Any], str]]
PIXEL_UM = 0.65


def corecording() -> LayerData:
    """Return a calcium movie; its patch recordings open in the trace dock."""
    import napari
    import tifffile

    from napari_biofm.readers import read
    from napari_biofm.simulate.sample_files import corecording_files

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
