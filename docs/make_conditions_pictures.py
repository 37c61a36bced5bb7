"""Make the pictures of docs/conditions.md from the running program.

    python docs/make_conditions_pictures.py [--out docs/images] [--only NAME ...]

Needs a screen (or xvfb-run) and RDKit. Compounds are made up of rings and chains, and what they do is simulated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
RINGS = (
    "c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "c1ccsc1", "C1CCOC1", "c1ccc2ccccc2c1", "c1cnc[nH]1", "C1CCCC1",
)  # fmt: skip
CHAINS = ("C", "CC", "CCO", "CCCC", "CCCCO", "CCCCCC", "CCCCCCCC", "OCCCCCC")


def main() -> None:
    """Do what a person would do, and save what is seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", choices=[*PICTURES], default=[*PICTURES])
    options = parser.parse_args()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[name](Path(folder), options.out)


def _open(theme: str = "dark") -> tuple[Any, Any]:
    import napari

    from napari_biofm.widgets.conditions.dock import ConditionsDock

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    viewer.window._qt_window.resize(1366, 768)
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    return viewer, dock


def _settle(n: int = 60) -> None:
    import time

    from qtpy.QtWidgets import QApplication

    for _ in range(n):
        QApplication.processEvents()
        time.sleep(0.01)


def _save(picture: Any, path: Path) -> None:
    """Write a PNG of 256 colours, which is a third as large."""
    from PIL import Image

    picture.save(str(path))
    with Image.open(path) as whole:
        few = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def vectors(folder: Path, out: Path) -> None:
    """The tab Vectors with 80 compounds whose effect grows with their solubility in fat."""
    import pandas as pd
    from rdkit.Chem import Crippen, MolFromSmiles

    rng = np.random.default_rng(0)
    smiles = [f"{chain}{ring}" for ring in RINGS for chain in CHAINS]
    wells = [f"{'ABCDEFGH'[i % 8]}{i // 8 + 1:02d}" for i in range(len(smiles))]
    effect = [Crippen.MolLogP(MolFromSmiles(text)) for text in smiles] + rng.normal(0, 0.4, len(smiles))
    pd.DataFrame({"well": wells, "smiles": smiles}).to_csv(folder / "map.csv", index=False)
    n_cells = rng.integers(40, 90, len(wells))
    viewer, dock = _open()
    dock.control.read_map(folder / "map.csv")
    dock.control.use_wells(pd.DataFrame({"well": wells, "n_cells": n_cells, "event_rate": 4 + effect}))
    dock.tabs.setCurrentIndex(2)
    panel = dock.vectors_panel
    panel.set_value("vectors", "descriptors")
    panel.set_value("value", "event_rate")
    panel.run()
    _settle()
    _save(dock.grab(), out / "conditions_vectors.png")
    viewer.close()


PICTURES = {"vectors": vectors}

if __name__ == "__main__":
    main()
