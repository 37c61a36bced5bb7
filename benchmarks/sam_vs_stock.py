"""Segment Anything: the embedding of an image by stock `SamPredictor` and by ours, same weights and run.

    python benchmarks/sam_vs_stock.py [--quick] [--device cuda] [--weights FILE] [--beside N] [--json]

Without --weights a ViT-B checkpoint with random weights of the true architecture is made. Both run in
float32 unless the probe finds a faster precision; agreement is measured in float32.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry

from beside import as_the_program_runs, neighbours
from napari_biofm.images.prompt.sam import SAM
from napari_biofm.types import Prompt, run_task
from pairs import Side, compare, processor_ratio, report


def random_weights(folder: Path, depth: int) -> Path:
    """Save a ViT-B checkpoint with random weights; `depth` blocks of the 12."""
    torch.manual_seed(0)
    network = sam_model_registry["vit_b"]()
    network.image_encoder.blocks = network.image_encoder.blocks[:depth]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "pos" in name:
                parameter.normal_(0, 0.05)
    torch.save(network.state_dict(), folder / "random_sam_vit_b.pth")
    return folder / "random_sam_vit_b.pth"


def stock_predictor(weights: Path, device: str, depth: int) -> SamPredictor:
    """Return segment-anything's own predictor; its blocks beyond `depth` are dropped."""
    network = sam_model_registry["vit_b"]()
    network.image_encoder.blocks = network.image_encoder.blocks[:depth]
    network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return SamPredictor(network.to(device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="accepted; the last line is always JSON")
    parser.add_argument("--quick", action="store_true", help="3 of the 12 blocks , one pair")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--budget", type=float, default=400, help="seconds for the pairs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="busy processes beside the two")
    args = parser.parse_args()
    as_the_program_runs()
    torch.set_num_threads(args.threads)
    depth, pairs = (3, 1) if args.quick else (12, args.pairs)
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), np.uint8)

    with tempfile.TemporaryDirectory() as folder, neighbours(args.beside):
        weights = args.weights or random_weights(Path(folder), depth)
        predictor = stock_predictor(weights, args.device, depth)
        model = SAM(weights, args.device)
        plan = model.plan
        stock, ours = Side("stock SamPredictor.set_image"), Side("ours, prepare")
        predictor.set_image(image)  # once each, so that neither pays for the first touch of its weights
        run_task(model.prepare(image))
        speedup = compare(
            stock,
            lambda: predictor.set_image(image),
            ours,
            lambda: run_task(model.prepare(image)),
            pairs,
            args.budget,
        )
        exact = model if plan.dtype == "float32" else SAM(weights, args.device, dtype="float32")
        prepared = run_task(exact.prepare(image))
        expected = predictor.get_image_embedding().float().cpu().numpy()[0]
        difference = float(np.abs(prepared.tiles[0].features - expected).max())
        prompt = Prompt(np.array([[400.0, 500.0]]), np.array([True]))
        masks, scores = exact.predict(prepared, prompt)
        wanted, wanted_scores, _ = predictor.predict(np.array([[500.0, 400.0]]), np.array([1]))
        order = np.argsort(-wanted_scores, kind="stable")
        score_difference = float(np.abs(scores - wanted_scores[order]).max())
        pixels = float((masks != wanted[order]).mean())

    report(
        f"Segment Anything ViT-B, 1024 x 1024 pixels, {depth} of 12 blocks, {args.device}, "
        f"{args.beside} busy processes beside, "
        f"{'random weights' if args.weights is None else args.weights.name}",
        [stock, ours],
        {
            "precision chosen by the probe": f"{plan.dtype} ({plan.timings})",
            "embedding faster than stock": f"{speedup:.2f} times (median of {len(ours.seconds)} pairs)",
            "the same in processor seconds": f"{processor_ratio(stock, ours):.2f} times",
            "largest embedding difference": f"{difference:.1e} (float32)",
            "largest score difference": f"{score_difference:.1e}",
            "mask pixels that differ": f"{100 * pixels:.4f} %",
        },
        {
            "speedup": round(speedup, 3),
            "max_difference": difference,
            "score_difference": score_difference,
            "mask_disagreement": pixels,
            "device": args.device,
            "beside": args.beside,
            "dtype": plan.dtype,
        },
    )


if __name__ == "__main__":
    main()
