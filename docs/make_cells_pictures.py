"""Take the pictures of docs/cells.md: simulated nuclei of three states, taught in a real viewer.

xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_cells_pictures.py [--data ../shared/data] [--umap]

The picture of UMAP shows real nuclei (MitoCheck, `state_mitocheck` in `--data`) and needs umap-learn; `--umap`
makes it alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

os.environ["NAPARI_BIOFM_ENGINE"] = "inline"
STATES = ("interphase", "prometaphase", "metaphase")
SIDE, N = 44, 14
PHENOTYPES = ("Interphase", "Prometaphase", "MetaphaseAlignment", "Anaphase", "Apoptosis")
N_EACH, BY_HAND, ROW = 57, 15, 19  # nuclei of each phenotype, labelled ones, nuclei in a row of the sheet


def _save(viewer: Any, path: Path) -> None:
    """Write the window as a PNG of 256 colours, which is half as large."""
    from PIL import Image

    whole = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    whole.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def nuclei(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image, labels and state of N x N nuclei."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((N * SIDE, N * SIDE), np.int32)
    image = rng.normal(12, 2, labels.shape)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    states = rng.choice(3, N * N, p=(0.6, 0.25, 0.15))
    for i, state in enumerate(states):
        at = tuple(slice(SIDE * k, SIDE * (k + 1)) for k in divmod(i, N))
        turn = rng.uniform(0, np.pi)
        u, v = np.cos(turn) * y + np.sin(turn) * x, np.cos(turn) * x - np.sin(turn) * y
        a, b = ((12, 9), (9, 8.5), (12, 3.5))[state] * rng.uniform(0.85, 1.15, 2)
        texture = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), (3, 1.2, 0.8)[state])
        texture /= texture.std()
        inside = (u / a) ** 2 + (v / b) ** 2 < 1 + (0.0, 0.25, 0.05)[state] * texture
        parts, _ = ndimage.label(inside)
        inside = parts == parts[SIDE // 2, SIDE // 2] if parts[SIDE // 2, SIDE // 2] else inside
        labels[at][inside] = i + 1
        level, contrast = ((60, 5), (95, 22), (150, 12))[state]
        image[at][inside] += level * rng.uniform(0.8, 1.2) + contrast * texture[inside]
    return ndimage.gaussian_filter(image, 0.8).astype(np.float32), labels, states


def main() -> None:
    """Open a viewer, teach three states, and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--umap", action="store_true", help="make the picture of UMAP alone")
    options = parser.parse_args()
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.cells.classify.projection import has_umap
    from napari_biofm.widgets.cells import CellsDock

    def wait(seconds: float) -> None:
        end = time.time() + seconds
        while time.time() < end:
            QApplication.processEvents()

    if (options.data / "imaging" / "state_mitocheck").is_dir() and has_umap():
        real_nuclei(options.data / "imaging" / "state_mitocheck", Path(__file__).parent / "images", wait)
    if options.umap:
        return
    image, labels, states = nuclei()
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 950)
    viewer.add_image(image, name="nuclei")
    viewer.add_labels(labels, name="masks", opacity=0.0)
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cells", area="right")
    dock = frame.content
    viewer.reset_view()
    dock.measure()
    for code, name in enumerate(STATES):
        dock.states.add_class(name)
        for row in np.flatnonzero(states == code)[:12]:
            dock.states.assign([row], code)
    dock.form.click_button.setChecked(True)
    wait(2)
    folder = Path(__file__).parent / "images"
    _save(viewer, folder / "cells_dock.png")
    dock.tabs.setCurrentWidget(dock.plot)
    wait(1)
    chosen = dock.plot.scatter.points[dock.states.prediction.code == 2]
    low, high = np.quantile(chosen, 0.02, axis=0), np.quantile(chosen, 0.98, axis=0)
    dock.plot.scatter.box.drawn.emit(np.array([low, (high[0], low[1]), high, (low[0], high[1])]))
    wait(1)
    _save(viewer, folder / "cells_plot.png")
    dock.session.select([])
    dock.tabs.setCurrentWidget(dock.scores)
    dock.score()
    wait(1)
    _save(viewer, folder / "cells_scores.png")
    values(dock, states, folder, wait, viewer)
    movie(dock, image, labels, folder, wait, viewer)
    dock.session.close()
    viewer.close()


def real_nuclei(data: Path, folder: Path, wait: Any) -> None:
    """UMAP of nuclei seen on their own by the model, a few of each phenotype labelled."""
    import napari

    from napari_biofm.widgets.cells import CellsDock

    image, labels, names = sheet(data)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 950)
    viewer.add_image(image, name="MitoCheck")
    viewer.add_labels(labels, name="nuclei", opacity=0.0)
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cells", area="right")
    dock = frame.content
    viewer.reset_view()
    dock.measure()
    dock.controller.learning.add_vectors("biofm-image", alone=True)
    rng = np.random.default_rng(0)
    for name in PHENOTYPES:
        code = dock.states.add_class(name)
        dock.states.assign(rng.choice(np.flatnonzero(names == name), BY_HAND, replace=False), code)
    dock.tabs.setCurrentWidget(dock.plot)
    dock.plot.kind.setCurrentText("UMAP")
    wait(2)
    viewer.reset_view()
    wait(1)
    _save(viewer, folder / "cells_umap.png")
    dock.session.close()
    viewer.close()


def sheet(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay crops of some phenotypes out on one sheet; return image, masks of the middle nuclei, and phenotypes."""
    import tifffile
    from skimage.filters import gaussian, threshold_otsu

    table = np.genfromtxt(data / "labels.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    crops = tifffile.imread(data / "crops.tif")
    rng = np.random.default_rng(0)
    chosen = [
        rng.choice(np.flatnonzero(table["label"] == name), N_EACH, replace=False) for name in PHENOTYPES
    ]
    rows = rng.permutation(np.concatenate(chosen))
    height, width = crops.shape[1:3]
    image = np.zeros((-(-len(rows) // ROW) * height, ROW * width), crops.dtype)
    labels = np.zeros(image.shape, np.int32)
    for i, row in enumerate(rows):
        y, x = divmod(i, ROW)
        at = slice(y * height, (y + 1) * height), slice(x * width, (x + 1) * width)
        smooth = gaussian(crops[row].astype(float), 1)
        parts, _ = ndimage.label(smooth > threshold_otsu(smooth))
        near = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        middle = parts[tuple(near[:, height // 2, width // 2])]
        image[at], labels[at] = crops[row], (parts == middle) * (i + 1)
    return image, labels, table["label"][rows]


def values(dock: Any, states: np.ndarray, folder: Path, wait: Any, viewer: Any) -> None:
    """Learn a gene that goes with the state, and one that does not."""
    rng = np.random.default_rng(1)
    lines = ["object_id,CCNB1,ACTB"]
    for i in range(0, len(states), 2):
        lines.append(f"{i + 1},{(1.0, 3.0, 4.0)[states[i]] + rng.normal(0, 0.6):.3f},{rng.normal(5, 1):.3f}")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "expression.csv"
        path.write_text("\n".join(lines) + "\n")
        panel = dock.values_panel
        panel.source.read(path)
    dock.tabs.setCurrentWidget(dock.values_panel)
    dock.controller.values.learn()
    dock.add_value_layer(dock.values_panel.target_box.currentText())
    wait(1)
    _save(viewer, folder / "cells_values.png")
    viewer.layers.remove(viewer.layers[-1])


def movie(dock: Any, image: np.ndarray, labels: np.ndarray, folder: Path, wait: Any, viewer: Any) -> None:
    """Six frames in which every cell of a band goes from one state to the next."""
    later = [nuclei(seed) for seed in (0, 3, 5)]
    order = (0, 0, 1, 1, 2, 2)
    band = np.arange(len(labels))[:, None] < 5 * SIDE
    images = np.stack([np.where(band, later[k][0], image) for k in order])
    masks = np.stack([np.where(band, later[k][1], labels) for k in order]).astype(np.int32)
    classes = dock.states.table.obs["class_by_hand"].copy()
    viewer.layers.clear()
    viewer.add_image(images, name="movie")
    viewer.add_labels(masks, name="moving", opacity=0.0)
    viewer.dims.set_current_step(0, 0)
    dock.form.layer_box.setCurrentText("moving")
    part = dock.form.measured_on.part
    part.setCurrentText("Plane in view")
    part.activated.emit(part.currentIndex())
    dock.measure()
    for name in STATES:
        code = dock.states.add_class(name)
        dock.states.assign(np.flatnonzero(classes.to_numpy() == name), code)
    dock.tabs.setCurrentWidget(dock.timeline)
    dock.classify_movie()
    dock.timeline.below_box.setChecked(True)
    viewer.reset_view()
    wait(2)
    _save(viewer, folder / "cells_time.png")


if __name__ == "__main__":
    main()
