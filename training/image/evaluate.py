"""Measure weights on the validation part, through the real inference code with default settings.

``python training/image/evaluate.py [--weights FILE] [--what masks clicks states scales ablations] [--out scores.json]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from skimage.transform import resize

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.images.segment.embedded import model as model_module  # noqa: E402
from napari_biofm.images.segment.embedded import passes  # noqa: E402
from napari_biofm.images.segment.embedded.model import EmbeddedModel  # noqa: E402
from napari_biofm.types import Prompt, SegmentationParameters, run_task  # noqa: E402
from training.image import states  # noqa: E402
from training.image.clicks import deepest, next_click  # noqa: E402
from training.image.data import index, load_pair, load_states, median_diameter  # noqa: E402
from training.image.metrics import average_precision  # noqa: E402


def _kept_back(data: Path, validation: float, most: int | None) -> Iterator[tuple[Any, Any, Any]]:
    """Row of the index, image and labels of every validation picture, or of `most` of each kind."""
    table = index(data, validation)
    table = table[table.part == "validation"]
    for row in table.groupby("kind").head(most or len(table)).itertuples():
        yield row, *load_pair(data, row)


def masks(
    model: EmbeddedModel, data: Path, validation: float, most: int | None = None, told: bool = False
) -> dict[str, Any]:
    """AP per modality of the validation pictures and the error of the diameter; `told` gives the true one."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for row, image, truth in _kept_back(data, validation, most):
        true = median_diameter(truth)
        started = time.perf_counter()
        found = run_task(model.segment(image, SegmentationParameters(diameter=true if told else None)))
        seconds = time.perf_counter() - started
        scores = average_precision(truth, found.masks)
        ratio = (found.diameter or np.nan) / true
        rows[row.kind].append((row.stem, scores, ratio, seconds, int(truth.max()), int(found.masks.max())))
    return {kind: _summary(values) for kind, values in rows.items()}


def _summary(values: list[Any]) -> dict[str, Any]:
    scores = np.array([v[1] for v in values])
    return {
        "n": len(values),
        "objects": int(sum(v[4] for v in values)),
        "ap50": round(float(scores[:, 0].mean()), 4),
        "ap": round(float(scores.mean()), 4),
        "log2_diameter_error": round(float(np.nanmean(np.abs(np.log2([v[2] for v in values])))), 3),
        "seconds": round(float(np.mean([v[3] for v in values])), 3),
        "images": {
            v[0]: [round(float(v[1][0]), 3), round(float(v[1].mean()), 3), round(float(v[2]), 2), v[4], v[5]]
            for v in values
        },
    }


def ablations(
    model: EmbeddedModel, data: Path, validation: float, most: int = 4
) -> dict[str, dict[str, float]]:
    """AP@0.5 per modality with parts of the inference switched off, on `most` pictures each."""
    rim, limit = passes.RIM, model_module.SECOND_PASS
    out = {"as shipped": masks(model, data, validation, most)}
    out["true diameter given"] = masks(model, data, validation, most, told=True)
    try:
        model_module.SECOND_PASS = 1e9
        out["no second pass at the measured diameter"] = masks(model, data, validation, most)
        model_module.SECOND_PASS, passes.RIM = limit, 0
        out["no rim of background"] = masks(model, data, validation, most)
    finally:
        passes.RIM, model_module.SECOND_PASS = rim, limit
    return {name: {kind: row["ap50"] for kind, row in rows.items()} for name, rows in out.items()}


def scales(model: EmbeddedModel, data: Path, validation: float, most: int = 4) -> dict[str, Any]:
    """AP@0.5 and estimated over true diameter of the same pictures, resized to have cells of 8 to 120 px."""
    rows: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row, image, truth in _kept_back(data, validation, most):
        native = median_diameter(truth)
        for wanted in (8, 12, 20, 30, 45, 60, 90, 120):
            size = tuple(round(n * wanted / native) for n in truth.shape)
            if max(size) > 2600:
                continue
            smooth = wanted < native
            seen = resize(image.astype(np.float32), size + image.shape[2:], anti_aliasing=smooth)
            found = run_task(model.segment(seen))
            ap = average_precision(resize(truth, size, order=0, preserve_range=True), found.masks)[0]
            rows[row.kind][wanted].append((ap, (found.diameter or np.nan) / wanted))
    return {
        kind: {
            wanted: {
                "n": len(v),
                "ap50": round(float(np.mean([a for a, _ in v])), 3),
                "ratios": [round(float(r), 2) for _, r in v],
            }
            for wanted, v in by_size.items()
        }
        for kind, by_size in rows.items()
    }


def clicks(
    model: EmbeddedModel, data: Path, validation: float, most: int = 4, objects: int = 6
) -> dict[str, Any]:
    """IoU after 1 to 5 clicks (each in the middle of the largest mistake) and clicks needed for IoU .85
    (at most 10).
    """
    rng = np.random.default_rng(0)
    rows: dict[str, list[Any]] = defaultdict(list)
    milliseconds: list[float] = []
    for row, image, truth in _kept_back(data, validation, most):
        prepared = run_task(model.prepare(image))
        labels = np.flatnonzero(np.bincount(truth.ravel()) >= 30)
        labels = labels[labels > 0]
        for label in rng.choice(labels, min(objects, len(labels)), replace=False):
            rows[row.kind].append(_one_object(model, prepared, truth == label, milliseconds))
    out: dict[str, Any] = {"p50_ms": round(float(np.median(milliseconds)), 1)}
    everything = [r for values in rows.values() for r in values]
    for kind, values in [*rows.items(), ("all", everything)]:
        iou = np.array([v[0] for v in values])
        out[kind] = {
            "n": len(values),
            **{f"iou{k}": round(float(iou[:, k - 1].mean()), 3) for k in (1, 2, 3, 5)},
            "basin1": round(float(np.mean([v[3] for v in values])), 3),
            "noc85": round(float(np.mean([v[1] for v in values])), 2),
            "failed85": round(float(np.mean([v[2] for v in values])), 3),
        }
    return out


def _one_object(
    model: EmbeddedModel, prepared: Any, truth: Any, milliseconds: list[float]
) -> tuple[Any, int, bool, float]:
    points, positive, scores, basin = [deepest(truth)], [True], [], 0.0
    for _ in range(10):
        prompt = Prompt(np.array(points, float), np.array(positive))
        started = time.perf_counter()
        answers = model.predict(prepared, prompt)[0]
        answer = answers[0]
        milliseconds.append(1e3 * (time.perf_counter() - started))
        scores.append(_iou(answer, truth))
        if len(scores) == 1 and len(answers) > 1:
            basin = _iou(answers[1], truth)
        click = next_click(truth, answer)
        if click is None or (len(scores) >= 5 and max(scores) >= 0.85):
            break
        points.append(click[:2])
        positive.append(click[2])
    reached = next((i + 1 for i, s in enumerate(scores) if s >= 0.85), None)
    padded = (scores + [scores[-1]] * 5)[:5]
    return padded, reached or 10, reached is None, basin


def _iou(answer: Any, truth: Any) -> float:
    return float((answer & truth).sum() / max(1, (answer | truth).sum()))


def main() -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--weights", type=Path)
    parser.add_argument(
        "--what",
        nargs="+",
        default=["masks"],
        choices=("masks", "clicks", "states", "scales", "ablations"),
    )
    parser.add_argument("--most", type=int, help="pictures per modality")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text())
    data, share = (ROOT / config["data"]).resolve(), config["data_set"]["validation"]
    model = EmbeddedModel(arguments.weights, threads=arguments.threads)
    scores: dict[str, Any] = {}
    if "masks" in arguments.what:
        scores["masks"] = masks(model, data, share, arguments.most)
    if "clicks" in arguments.what:
        scores["clicks"] = clicks(model, data, share)
    if "states" in arguments.what:
        scores["states"] = {one.name: states.compare(model, one) for one in load_states(data)}
    if "scales" in arguments.what:
        scores["scales"] = scales(model, data, share)
    if "ablations" in arguments.what:
        scores["ablations"] = ablations(model, data, share)
    text = json.dumps(scores, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
