"""Film every tool of docs/annotate.md in a real viewer, on simulated cells, with real mouse events.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_annotate_pictures.py [--only split merge]

Writes docs/images/annotate_<tool>.gif and the pictures of the dock. Nothing but simulated images is shown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

os.environ["NAPARI_BIOFM_ENGINE"] = "inline"
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", str(Path(tempfile.mkdtemp()) / "autosave"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from annotate_film import Stage

from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.images.segment.ideal_flows import flows_from_masks
from napari_biofm.simulate import simulate_field, simulate_stack
from napari_biofm.types import Segmentation
from napari_biofm.widgets.common.viewers import layer_id

OUT = Path(__file__).parent / "images"
NOTHING = None


def field() -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels of touching cells."""
    made = simulate_field((170, 220), 24, 13.0, seed=5, crowding=0.35)
    return made.image, made.masks


def pairs(masks: np.ndarray) -> list[tuple[int, int]]:
    """Return cells that touch, those with the longest common outline first."""
    sides = [(masks[:, :-1], masks[:, 1:]), (masks[:-1], masks[1:])]
    found: dict[tuple[int, int], int] = {}
    for a, b in sides:
        both = (a != b) & (a > 0) & (b > 0)
        for i, j in zip(a[both].tolist(), b[both].tolist(), strict=True):
            key = (min(i, j), max(i, j))
            found[key] = found.get(key, 0) + 1
    return sorted(found, key=lambda k: -found[k])


def singles(masks: np.ndarray) -> list[int]:
    """Return cells that touch neither another one nor the border, largest first."""
    taken = {k for pair in pairs(masks) for k in pair}
    edge = np.concatenate([masks[0], masks[-1], masks[:, 0], masks[:, -1]])
    free = [k for k in np.unique(masks)[1:].tolist() if k not in taken and k not in edge]
    return sorted(free, key=lambda k: -int((masks == k).sum()))


def circle(centre: np.ndarray, radius: float, n: int = 14) -> list[np.ndarray]:
    """Return points around a centre."""
    angles = np.linspace(0, 2 * np.pi, n)
    return [centre + radius * np.array([np.sin(a), np.cos(a)]) for a in angles]


# ---------------------------------------------------------------------- one film per tool


def point(stage: Stage) -> None:
    """Click, look, commit; a second cell; undo."""
    image, truth = field()
    stage.begin("point", image, NOTHING, "biofm-image")
    a, b = singles(truth)[:2]
    stage.use(Tool.POINT)
    stage.click(stage.centre(truth, a))
    stage.key("commit")
    stage.click(stage.centre(truth, b))
    stage.key("alternative")
    stage.key("alternative")
    stage.key("commit")
    stage.key("undo")
    stage.key("redo")


def minus(stage: Stage) -> None:
    """A cell that a segmenter drew over two is taken back to one by a negative click."""
    image, truth = field()
    one, two = pairs(truth)[0]
    stage.begin("minus", image, np.where(truth == two, one, truth))
    stage.use(Tool.REFINE)
    stage.click(stage.centre(truth, one))
    stage.use(Tool.MINUS)
    stage.click(stage.centre(truth, two))
    stage.key("commit")


def box(stage: Stage) -> None:
    """Drag a box."""
    image, truth = field()
    stage.begin("box", image, NOTHING)
    stage.use(Tool.BOX)
    for k in singles(truth)[:2]:
        where = np.argwhere(truth == k)
        low, high = where.min(0) - 2, where.max(0) + 2
        stage.drag([low + (high - low) * t for t in np.linspace(0, 1, 6)])
        stage.key("commit")


def scribble(stage: Stage) -> None:
    """Drag through a cell."""
    image, truth = field()
    stage.begin("scribble", image, NOTHING, "biofm-image")
    stage.use(Tool.SCRIBBLE)
    one, two = pairs(truth)[0]
    a, b = stage.centre(truth, one), stage.centre(truth, two)
    away = (a - b) / np.linalg.norm(a - b) * 5
    stage.drag([a - away * t for t in np.linspace(-1, 0.6, 6)])
    stage.drag([b + away * t for t in np.linspace(-0.5, 0.5, 4)], shift=True)
    stage.key("commit")


def lasso(stage: Stage) -> None:
    """Draw around a cell."""
    image, truth = field()
    stage.begin("lasso", image, NOTHING)
    stage.use(Tool.LASSO)
    k = singles(truth)[0]
    stage.drag(circle(stage.centre(truth, k), 1.05 * np.sqrt((truth == k).sum() / np.pi)))
    stage.key("commit")


def refine(stage: Stage) -> None:
    """A cell of the labels that misses a half gets it back by one click."""
    image, truth = field()
    k = singles(truth)[0]
    centre = stage.centre(truth, k)
    wrong = truth.copy()
    x = np.indices(truth.shape)[1]
    wrong[(truth == k) & (x > centre[1])] = 0
    stage.begin("refine", image, wrong)
    stage.use(Tool.REFINE)
    stage.click(centre - (0, 5))
    stage.click(centre + (0, 6))
    stage.key("commit")


def split(stage: Stage) -> None:
    """Two cells in one: a line across, or a click on both centres."""
    image, truth = field()
    one, two = pairs(truth)[0]
    stage.begin("split", image, np.where(truth == two, one, truth))
    stage.use(Tool.SPLIT)
    a, b = stage.centre(truth, one), stage.centre(truth, two)
    middle, across = (a + b) / 2, np.array([b[1] - a[1], a[0] - b[0]])
    across = across / np.linalg.norm(across) * 17
    stage.drag([middle + across * t for t in np.linspace(-1, 1, 7)])
    stage.key("undo")
    stage.click(a)
    stage.click(b)


def merge(stage: Stage) -> None:
    """One cell in two: drag from one part to the other."""
    image, truth = field()
    k = singles(truth)[0]
    centre = stage.centre(truth, k)
    y = np.indices(truth.shape)[0]
    stage.begin("merge", image, np.where((truth == k) & (y > centre[0]), truth.max() + 1, truth))
    stage.use(Tool.MERGE)
    stage.drag([centre + (t, 0) for t in np.linspace(-8, 8, 6)])


def delete(stage: Stage) -> None:
    """Click a cell away, and take it back."""
    image, truth = field()
    stage.begin("delete", image, truth)
    stage.use(Tool.DELETE)
    for k in singles(truth)[:2]:
        stage.click(stage.centre(truth, k))
    stage.key("undo")


def fill(stage: Stage) -> None:
    """Close the holes of a cell."""
    image, truth = field()
    wrong = truth.copy()
    for k in singles(truth)[:2]:
        y, x = (int(c) for c in stage.centre(truth, k))
        wrong[y - 3 : y + 3, x - 2 : x + 3] = 0
    stage.begin("fill", image, wrong)
    stage.use(Tool.FILL)
    for k in singles(truth)[:2]:
        stage.click(stage.centre(truth, k) + (0, 7))


def smooth(stage: Stage) -> None:
    """A ragged outline becomes smooth."""
    image, truth = field()
    rng, wrong = np.random.default_rng(0), truth.copy()
    for k in singles(truth)[:2]:
        inside = truth == k
        rim = np.argwhere(inside & ~ndi.binary_erosion(inside))
        for n, (y, x) in enumerate(rng.permutation(rim)[:16]):
            wrong[y - 2 : y + 2, x - 2 : x + 3] = k if n % 2 else 0
    stage.begin("smooth", image, wrong)
    stage.use(Tool.SMOOTH)
    for k in singles(truth)[:2]:
        stage.click(stage.centre(truth, k))


def brush(stage: Stage) -> None:
    """The brush of napari; its stroke is undone with everything else."""
    image, truth = field()
    stage.begin("brush", image, np.where(truth == singles(truth)[0], 0, truth))
    stage.use(Tool.BRUSH)
    stage.labels.selected_label = int(truth.max()) + 1
    stage.labels.brush_size = 12
    centre = stage.centre(truth, singles(truth)[0])
    stage.drag([centre + (dy, dx) for dy, dx in ((-5, -5), (-5, 4), (0, 5), (1, -5), (6, -4), (6, 4))])
    stage.key("undo")
    stage.key("redo")


def basins(stage: Stage) -> None:
    """Hover, click below the threshold, join by a drag, grow by the slider."""
    image, truth = field()
    stage.begin("basins", image, NOTHING, "flow-basins")
    stage.dock.session.set_segmentation(layer_id(stage.labels), soft(truth))
    stage.use(Tool.POINT)
    a, b = singles(truth)[:2]
    one, two = pairs(truth)[0]
    for k in (two, b, a):
        stage.hover(stage.centre(truth, k))
    stage.click(stage.centre(truth, a))
    stage.key("commit")
    for value in (1.5, 3.0, 1.0, -0.5):
        stage.slide(value)
    stage.let_go()
    first, last = stage.centre(truth, one), stage.centre(truth, two)
    stage.drag([first + (last - first) * t for t in np.linspace(0, 1, 6)])
    stage.key("commit")


def soft(truth: np.ndarray) -> Segmentation:
    """Return what a pass would say of these cells: surest in their middle."""
    depth = np.zeros(truth.shape)
    for k, where in enumerate(ndi.find_objects(truth), 1):
        if where is not None:
            depth[where] = np.maximum(
                depth[where], ndi.distance_transform_edt(np.pad(truth[where] == k, 1))[1:-1, 1:-1]
            )
    prob = np.where(truth > 0, 0.6 * depth - 1.5, -6.0).astype(np.float32)
    return Segmentation(truth, flows_from_masks(truth), prob, diameter=26.0)


def propagate(stage: Stage) -> None:
    """Carry one nucleus through the planes of a stack."""
    made = simulate_stack((12, 110, 150), 16, 13.0, 3.0, seed=4)
    planes = [(made.masks == k).any(axis=(1, 2)).sum() for k in range(1, made.masks.max() + 1)]
    k = int(np.argmax(planes)) + 1
    inside = np.flatnonzero((made.masks == k).any(axis=(1, 2)))
    z = int(inside[len(inside) // 2])
    labels = np.zeros_like(made.masks)
    labels[z][made.masks[z] == k] = 1
    stage.begin("propagate", made.image, labels, "level-sets", scale=(3, 1, 1))
    stage.plane(z)
    stage.labels.selected_label = 1
    stage.dock.panels.setCurrentWidget(stage.dock.time)
    stage.dock.time.last.setValue(len(labels) - 1)
    stage.note("Propagate: the selected nucleus goes down the stack", 1200)
    stage.dock.time.go_button.click()
    stage.note(stage.dock.time.outcome.text(), 1600)
    stage.dock.time.keep_button.click()
    for there in range(z, int(inside[-1]) + 2):
        if there < len(labels):
            stage.plane(there)
            stage.note(f"Plane {there}", 500)
    stage.picture("annotate_propagate_dock.png")


def link(stage: Stage) -> None:
    """Link cells over time; ids become those of the tracks."""
    made = simulate_field((150, 190), 9, 11.0, seed=8, crowding=0.0)
    n = 7
    rng = np.random.default_rng(1)
    pace = rng.normal(0, 2.2, (int(made.masks.max()) + 1, 2))
    frames, ids = np.zeros((n, 150, 190)), np.zeros((n, 150, 190), np.int32)
    for t in range(n):
        names = rng.permutation(int(made.masks.max())) + 1
        for k in range(1, int(made.masks.max()) + 1):
            at = np.argwhere(made.masks == k) + np.rint(pace[k] * t).astype(int)
            at = at[((at >= 0) & (at < (150, 190))).all(1)]
            ids[t][tuple(at.T)] = names[k - 1]
            frames[t][tuple(at.T)] = 700
    frames += 120
    stage.begin("link", frames.astype(np.float32), ids, "level-sets")
    for t in range(0, n, 2):
        stage.plane(t)
        stage.note("Before: ids change from frame to frame", 450)
    stage.plane(0)
    stage.dock.panels.setCurrentWidget(stage.dock.time)
    stage.dock.time.link_button.click()
    for t in range(n):
        stage.plane(t)
        stage.note("Linked: one id per cell, and napari Tracks", 450)


def guide(stage: Stage) -> None:
    """Step through the cells that need a look."""
    image, truth = field()
    wrong, other = truth.copy(), truth.copy()
    one, two = pairs(truth)[0]
    wrong[truth == two] = one
    y, x = (int(c) for c in stage.centre(truth, singles(truth)[0]))
    wrong[y - 4 : y + 3, x - 3 : x + 4] = 0
    other[truth == singles(truth)[1]] = 0
    stage.begin("guide", image, wrong)
    stage.viewer.add_labels(other, name="another model", visible=False)
    stage.dock.layers.choose(stage.image, stage.labels)
    stage.dock.review.other.setCurrentIndex(1)
    stage.dock.panels.setCurrentWidget(stage.dock.review)
    stage.dock.press("next_doubt")
    for _ in range(5):
        stage.key("next_doubt", 1300)
    stage.picture("annotate_guide_dock.png")


def dock(stage: Stage) -> None:
    """Picture of the whole window, and of the panels."""
    image, truth = field()
    stage.begin("", image, truth, "biofm-image")
    stage.use(Tool.POINT)
    a = singles(truth)[0]
    stage.dock.annotator.do(stage.dock.annotator.editor.delete(a))
    stage.click(stage.centre(truth, a))
    stage.window("annotate.png")
    stage.dock.panels.setCurrentWidget(stage.dock.key_table)
    stage.picture("annotate_keys_dock.png")


def series(stage: Stage) -> None:
    """Picture of a series under way."""
    import tifffile

    folder = Path(tempfile.mkdtemp())
    for k in range(6):
        tifffile.imwrite(folder / f"well_{k + 1}.tif", simulate_field((170, 220), 24, 13.0, seed=k).image)
    stage.begin("", *field(), "level-sets")
    stage.dock.series.open_folder(folder)
    for _ in range(2):
        stage.dock.press("next_image")
    stage.dock.panels.setCurrentWidget(stage.dock.series)
    stage.picture("annotate_series_dock.png")


SCENES = (
    point, minus, box, scribble, lasso, refine, split, merge, delete, fill, smooth, brush, basins,
    propagate, link, guide, dock, series,
)  # fmt: skip


def main() -> None:
    """Film what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", nargs="*", help="names of scenes")
    options = parser.parse_args()
    import napari

    viewer: Any = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    stage = Stage(viewer, options.out)
    for scene in SCENES:
        if not options.only or scene.__name__ in options.only:
            scene(stage)
            sys.stdout.write(f"{scene.__name__}: {stage.end()}\n")
            sys.stdout.flush()
    viewer.close()


if __name__ == "__main__":
    main()
