"""Simulated user on real images: clicks per object, and edits to repair an automatic result.

    python benchmarks/interactive.py [--quick] [--json] [--data ../shared/data/imaging] [--weights FOLDER]
                                     [--sam-weights FILE] [--budget SECONDS]

The user clicks the middle of an object, then the middle of the largest error, up to ten times. NoC@80 is the
mean number of clicks until an IoU of 0.8 (ten where it is never reached). A dab of the brush paints, or rubs
out, a disc of a third of the object's size; up to forty.

Repair: the embedded model's own segmentation is brought to the truth. Cells that are none are deleted, joined
ones split, divided ones merged with the editor's tools (one edit each); what is missing or has an IoU below
0.8 is clicked, with the present mask as prompt. Counted are all gestures of an image.

Images are those of the validation part, which training never sees (whole groups). Segment Anything is judged
where there are weights (registered ones on this machine, or --sam-weights); else only its decoder is timed,
with random weights. Images are taken kind by kind in turn until the budget is spent.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from napari_biofm.engine.threads import wait_asleep
from napari_biofm.images.edit import Piece
from napari_biofm.images.prompt.flow_basins import Basins, lookup
from napari_biofm.images.prompt.level_sets import LevelSets, Plane, warm_up
from napari_biofm.types import BiofmError, Prompt, run_task
from simulated_user import Answer, Mask, Repair, by_brush, by_clicks, repair, summary

BACKENDS = ("embedded", "flow_basins", "sam", "level_sets", "brush")


def with_mask(prompt: Prompt, start: Mask | None) -> Prompt:
    return prompt if start is None else Prompt(prompt.points, prompt.positive, prompt.box, start)


class Bench:
    """Models that are there, and what was measured so far."""

    def __init__(self, weights: Path | None, sam_weights: Path | None) -> None:
        self.notes: dict[str, str] = {}
        self.model: Any = None
        self.sam: Any = None
        self.curves: dict[str, list[list[float]]] = {}
        self.repairs: dict[str, list[Repair]] = {}
        self.milliseconds: dict[str, list[float]] = {}
        self.images = 0
        try:
            from napari_biofm.images.segment.embedded.model import EmbeddedModel

            self.model = EmbeddedModel(weights, threads=2)
            self.notes["embedded"] = f"weights {self.model.weights_sha256[:12]}"
        except BiofmError as error:
            self.notes["embedded"] = self.notes["flow_basins"] = str(error)
        path = sam_weights or _sam_on_this_machine()
        if path is not None:
            from napari_biofm.images.prompt.sam import SAM

            self.sam = SAM(path, "cpu")
            self.notes["sam"] = path.name
        warm_up()

    def backends_on(self, image: np.ndarray) -> tuple[dict[str, Answer], np.ndarray | None]:
        """Return what can answer on this image, and the automatic result."""
        tool, plane = LevelSets(), Plane(image)
        found: dict[str, Answer] = {}
        automatic = None
        if self.model is not None:
            prepared, segmented = run_task(self.model.prepare(image)), run_task(self.model.segment(image))
            automatic, table = segmented.masks, Basins.of(segmented)
            found["embedded"] = lambda p, s: self.model.predict(prepared, with_mask(p, s))[0][0]
            found["flow_basins"] = lambda p, s: _first(
                lookup(table, p, 0.0, None if s is None else Piece.of(s)), image.shape[:2]
            )
        if self.sam is not None:
            ready = run_task(self.sam.prepare(image))
            found["sam"] = lambda p, s: self.sam.predict(ready, with_mask(p, s))[0][0]
        found["level_sets"] = lambda p, s: _first(
            tool.answer(plane, p, None if s is None else Piece.of(s)), image.shape[:2]
        )
        return {name: self._timed(name, answer) for name, answer in found.items()}, automatic

    def _timed(self, name: str, answer: Answer) -> Answer:
        times = self.milliseconds.setdefault(name, [])

        def timed(prompt: Prompt, start: Mask | None) -> Mask:
            begin = time.perf_counter()
            got = answer(prompt, start)
            times.append(1e3 * (time.perf_counter() - begin))
            return got

        return timed

    def run(self, image: np.ndarray, truth: np.ndarray, n_objects: int, n_repaired: int, seed: int) -> None:
        """Let the user work on one image with every backend."""
        answers, automatic = self.backends_on(image)
        ids = np.random.default_rng(seed).permutation(np.unique(truth)[1:])[:n_objects]
        for label in ids:
            wanted = truth == label
            for name, answer in answers.items():
                self.curves.setdefault(name, []).append(by_clicks(answer, wanted)[0])
            self.curves.setdefault("brush", []).append(by_brush(wanted, enough=0.9)[0])
        if automatic is not None:
            for name, tool in (*answers.items(), ("brush", None)):
                self.repairs.setdefault(name, []).append(repair(automatic, truth, tool, n_repaired))
        self.images += 1

    def time_random_sam(self, image: np.ndarray) -> None:
        """Without weights: how long SAM's decoder takes, which does not depend on what they hold."""
        try:
            from napari_biofm.images.prompt.sam import SAM
            from sam_vs_stock import random_weights
        except ImportError as error:
            self.notes["sam"] = f"not here: {error}"
            return
        self.notes["sam"] = "no weights on this machine: random ones of the true decoder, timed only"
        with tempfile.TemporaryDirectory() as folder:
            model = SAM(random_weights(Path(folder), 1), "cpu")
            ready = run_task(model.prepare(image))
            answer = self._timed("sam", lambda p, s: model.predict(ready, with_mask(p, s))[0][0])
            rng = np.random.default_rng(0)
            for _ in range(12):
                answer(Prompt(rng.uniform(5, min(image.shape[:2]) - 5, (1, 2)), np.ones(1, bool)), None)

    def result(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        out: dict[str, Any] = {"images": self.images, "objects": len(self.curves.get("brush", []))}
        for name in BACKENDS:
            row: dict[str, Any] = dict(summary(self.curves[name])) if name in self.curves else {}
            if name in self.repairs:
                row |= _repaired(self.repairs[name])
            if self.milliseconds.get(name):
                row["click_ms_p50"] = round(float(np.median(self.milliseconds[name])), 2)
            if row:
                out[name] = row
        return {**out, "notes": self.notes}


def _first(answer: Any, shape: tuple[int, int]) -> Mask:
    if not answer.pieces:
        return np.zeros(shape, bool)
    mask: Mask = answer.pieces[0].within((0, 0), shape).mask
    return mask


def _repaired(repairs: list[Repair]) -> dict[str, Any]:
    objects = max(1, sum(r.objects for r in repairs))
    kinds = sorted({kind for r in repairs for kind in r.edits})
    return {
        "edits_per_image": round(float(np.mean([r.total for r in repairs])), 2),
        "edits_per_object": round(sum(r.total for r in repairs) / objects, 4),
        "edits_by_kind": {k: round(sum(r.edits.get(k, 0) for r in repairs) / len(repairs), 2) for k in kinds},
        "given_up": round(sum(r.given_up for r in repairs) / objects, 4),
    }


def _sam_on_this_machine() -> Path | None:
    from napari_biofm.models import registry, store

    for entry in registry.REGISTRY:
        if entry.family == "sam":
            found = store.find(entry.name)
            if found is not None:
                return Path(getattr(found, "path", found))
    return None


def in_turn(table: Any, n_images: int) -> Iterator[Any]:
    """Yield rows kind by kind in turn, so that a budget that ends early has seen every kind."""
    groups = [list(rows.head(n_images).itertuples()) for _, rows in table.groupby("kind")]
    for k in range(n_images):
        for rows in groups:
            if k < len(rows):
                yield rows[k]


def main() -> int:
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/imaging"))
    parser.add_argument("--weights", type=Path, help="of the embedded model; the shipped ones if not given")
    parser.add_argument("--sam-weights", type=Path)
    parser.add_argument("--budget", type=float, help="seconds; 480, or 40 with --quick")
    parser.add_argument("--json", action="store_true", help="accepted; the last line is always JSON")
    parser.add_argument("--quick", action="store_true", help="one image per kind, two objects each")
    args = parser.parse_args()
    import torch
    from training.image.data import index, load_pair

    torch.set_num_threads(2)
    start = time.monotonic()
    budget = args.budget or (40 if args.quick else 480)
    n_images, n_objects, n_repaired = (1, 2, 3) if args.quick else (6, 8, 20)
    table = index(args.data, 0.14)
    table = table[(table.part == "validation") & ~table.kind.str.endswith("silver")]
    bench, slowest, kinds = Bench(args.weights, args.sam_weights), 0.0, set()
    for number, row in enumerate(in_turn(table, n_images)):
        begin = time.monotonic()
        if number and begin - start + slowest > budget:
            bench.notes["budget"] = f"{budget:.0f} s were spent after {number} images"
            break
        image, truth = load_pair(args.data, row)
        bench.run(image.squeeze(), truth, n_objects, n_repaired, number)
        if number == 0 and bench.sam is None:
            bench.time_random_sam(image.squeeze())
        kinds.add(str(row.kind))
        slowest = max(slowest, time.monotonic() - begin)
        print(f"{row.kind} {row.stem}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
    result = bench.result() | {"kinds": sorted(kinds), "seconds": round(time.monotonic() - start, 1)}
    show(result)
    print(json.dumps(result))
    return 0


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    columns = ("iou_1", "iou_3", "iou_5", "noc_80", "noc_90", "edits_per_image", "given_up", "click_ms_p50")
    heads = ("IoU@1", "IoU@3", "IoU@5", "NoC@80", "NoC@90", "edits/img", "given up", "ms/click")
    print(f"{result['images']} images, {result['objects']} objects ({', '.join(result['kinds'])})")
    print(f"{'backend':14}" + "".join(f"{h:>10}" for h in heads))
    for name in BACKENDS:
        row = result.get(name, {})
        if row:
            print(f"{name:14}" + "".join(f"{row[c]:>10.3f}" if c in row else f"{'-':>10}" for c in columns))
    for name, note in result["notes"].items():
        print(f"  {name}: {note}")


if __name__ == "__main__":
    raise SystemExit(main())
