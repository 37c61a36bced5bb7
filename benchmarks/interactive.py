"""Simulated user: clicks needed per object, for every backend that is here, beside plain brush dabs.

    python benchmarks/interactive.py [--data ../shared/data/imaging] [--quick] [--json]

The user clicks the middle of an object, then the middle of the largest error, up to ten times. Images are
those of the validation part that training never sees (whole groups). NoC@80 is the number of clicks until
IoU 0.8 (ten where it is never reached). A brush dab paints a disc of a third of the object's size where most
is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from napari_biofm.images.basins_lookup import Basins, lookup
from napari_biofm.images.level_sets import LevelSets, Plane
from napari_biofm.types import BiofmError, Prompt, run_task

MOST = 10
Mask = np.ndarray
Answer = Callable[[Prompt], Mask]


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def middle(mask: Mask) -> np.ndarray:
    """Return the deepest point of the largest part of a mask."""
    parts, n = ndi.label(mask)
    if n > 1:
        mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    depth = ndi.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(depth.argmax(), depth.shape), float)


def by_clicks(answer: Answer, truth: Mask) -> list[float]:
    """Return the IoU after each click."""
    points, signs, found, out = [], [], np.zeros(truth.shape, bool), []
    for _ in range(MOST):
        missing, extra = truth & ~found, found & ~truth
        positive = bool(missing.sum() >= extra.sum()) or not points
        points.append(middle(missing if positive else extra))
        signs.append(positive)
        found = answer(Prompt(np.array(points), np.array(signs)))
        out.append(iou(found, truth))
        if out[-1] >= 0.9:
            break
    return out + [max(out)] * (MOST - len(out))


def by_brush(truth: Mask) -> list[float]:
    """Return the IoU after each dab of a brush a third as wide as the object."""
    radius = max(1.0, np.sqrt(truth.sum() / np.pi) / 3)
    y, x = np.indices(truth.shape)
    found, out = np.zeros(truth.shape, bool), []
    for _ in range(4 * MOST):
        if not (truth & ~found).any():
            break
        cy, cx = middle(truth & ~found)
        found |= (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        out.append(iou(found, truth))
    return out + [out[-1]] * (4 * MOST - len(out))


def backends_on(image: np.ndarray, model: Any) -> dict[str, Answer]:
    """Return the backends that can answer on this image."""
    shape = image.shape[:2]
    tool, plane = LevelSets(), Plane(image)
    found: dict[str, Answer] = {"level_sets": lambda p: tool.predict(plane, p)[0][0]}
    if model is not None:
        prepared = run_task(model.prepare(image))
        table = Basins.of(run_task(model.segment(image)))
        found["embedded"] = lambda p: model.predict(prepared, p)[0][0]
        found["flow_basins"] = lambda p: lookup(table, p).full(shape)[0][0]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/imaging"))
    parser.add_argument("--json", action="store_true", help="accepted; the last line is always JSON")
    parser.add_argument("--quick", action="store_true", help="one image per kind, three objects each")
    args = parser.parse_args()
    from training.image.data import index, load_pair

    notes = {}
    try:
        from napari_biofm.images.embedded.model import EmbeddedModel

        model: Any = EmbeddedModel(threads=2)
    except BiofmError as error:
        model, notes["embedded"] = None, str(error)
    table = index(args.data, 0.14)
    table = table[(table.part == "validation") & ~table.kind.str.endswith("silver")]
    n_images, n_objects = (1, 3) if args.quick else (6, 10)
    rng = np.random.default_rng(0)
    scores: dict[str, list[list[float]]] = {}
    for _, rows in table.groupby("kind"):
        for row in rows.head(n_images).itertuples():
            image, masks = load_pair(args.data, row)
            image = image.squeeze()
            answers = backends_on(image, model)
            ids = np.unique(masks)[1:]
            for label in rng.permutation(ids)[:n_objects]:
                truth = masks == label
                for name, answer in answers.items():
                    scores.setdefault(name, []).append(by_clicks(answer, truth))
                scores.setdefault("brush", []).append(by_brush(truth))
        print(f"{row.kind} done", file=sys.stderr, flush=True)
    result: dict[str, Any] = {"notes": notes, "objects": len(scores["brush"])}
    print(f"{'backend':14}{'IoU@1':>8}{'IoU@3':>8}{'IoU@5':>8}{'NoC@80':>8}{'NoC@90':>8}")
    for name, curves in scores.items():
        best = np.maximum.accumulate(np.array(curves), axis=1)
        noc = [
            float(np.where((best >= t).any(1), (best >= t).argmax(1) + 1, best.shape[1]).mean())
            for t in (0.8, 0.9)
        ]
        mean = [float(best[:, k - 1].mean()) for k in (1, 3, 5)]
        print(f"{name:14}" + "".join(f"{v:>8.3f}" for v in mean) + "".join(f"{v:>8.2f}" for v in noc))
        result[name] = {
            "iou_1": mean[0], "iou_3": mean[1], "iou_5": mean[2], "noc_80": noc[0], "noc_90": noc[1],
        }  # fmt: skip
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
