"""Cellpose-SAM: stock `CellposeModel.eval` against ours. Same image, weights, machine and run.

    python benchmarks/cpsam_vs_stock.py [--quick] [--device cuda] [--weights FILE] [--size 512] [--json]

Without --weights a checkpoint with random weights of the true architecture is made: time and agreement
do not depend on what the weights know. "Ours" runs at its defaults (tiles fitted to the image, folded
attention, precision by probe), stock at its defaults, in float32 and in its own default precision; the
speed-up is taken over whichever of the two stock is faster with.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose import models

from beside import as_the_program_runs, neighbours
from napari_biofm.images.segment.cellpose_api import network_class
from napari_biofm.images.segment.cellpose_sam import CellposeSAM
from napari_biofm.images.segment.pooling import pool
from napari_biofm.images.tiling.tiles import Blender, fitted_grid, stock_grid
from napari_biofm.types import FeatureMap, SegmentationParameters, run_task
from pairs import Side, compare, measure, processor_ratio, report

PARAMETERS = SegmentationParameters()
BLOCKS = 24


def random_weights(folder: Path, depth: int) -> Path:
    """Save a checkpoint of the true architecture with random weights; `depth` blocks of the 24."""
    torch.manual_seed(0)
    network: Any = network_class()()
    network.encoder.blocks = network.encoder.blocks[:depth]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "pos" in name:
                parameter.normal_(0, 0.05)
    torch.save(network.state_dict(), folder / "random_cpsam")
    return folder / "random_cpsam"


def field_of_cells(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with about 200 discs, and their masks."""
    rng = np.random.default_rng(0)
    masks = np.zeros((size, size), np.int32)
    step = size // 15
    y, x = np.mgrid[:size, :size]
    for label, (row, column) in enumerate(np.ndindex(14, 14), 1):
        centre = (row + 1) * step + rng.integers(-3, 4), (column + 1) * step + rng.integers(-3, 4)
        masks[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (step * 0.42) ** 2] = label
    image = rng.poisson(40 + 160 * (masks > 0)).astype(np.uint16)
    return image, masks


def stock_model(weights: Path, device: str, bfloat16: bool, depth: int) -> Any:
    """Return Cellpose's own model; its blocks beyond `depth` are dropped."""
    options: dict[str, Any] = {"pretrained_model": str(weights), "device": torch.device(device)}
    if "use_bfloat16" in inspect.signature(models.CellposeModel).parameters:
        options["use_bfloat16"] = bfloat16
    model = models.CellposeModel(**options)
    model.net.encoder.blocks = model.net.encoder.blocks[:depth]
    return model


def embedding_seconds(model: CellposeSAM, masks: np.ndarray) -> float:
    """Time what a feature map and the vectors add to a pass: copies, blending, pooling."""
    grid = fitted_grid(masks.shape)
    device = model.plan.device
    tile = torch.randn(1, 256, 32, 32, device=device, dtype=getattr(torch, model.plan.dtype))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        table = Blender(grid, 256, 8)
        for index in range(len(grid)):
            table.add(index, tile.to(torch.float16).cpu().numpy()[0])
        features = FeatureMap(table.result().astype(np.float16), 8 / grid.scale, masks.shape, "cpsam")
        assert len(pool(features, masks).vectors) == masks.max()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="accepted; the last line is always JSON")
    parser.add_argument("--quick", action="store_true", help="4 of the 24 blocks, one pair, float32 only")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--budget", type=float, default=270, help="seconds for the pairs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="busy processes beside the two")
    args = parser.parse_args()
    as_the_program_runs()
    depth, pairs = (4, 1) if args.quick else (BLOCKS, args.pairs)
    torch.set_num_threads(args.threads)
    image, masks = field_of_cells(args.size)

    with tempfile.TemporaryDirectory() as folder, neighbours(args.beside):
        weights = args.weights or random_weights(Path(folder), depth)
        single, default = Side("stock, float32"), Side("stock, its default precision")
        ours = Side("ours, defaults")
        stock = stock_model(weights, args.device, False, depth)
        model = CellposeSAM(weights, device=args.device, keep_features=True)
        exact = CellposeSAM(weights, device=args.device, dtype="float32", tiling="stock", keep_features=False)
        plan = model.plan  # loads and probes, as a warm model has done

        said: list[Any] = []

        def run_stock(net: Any = stock) -> None:
            said.append(net.eval(image, compute_masks=False)[1])

        def run_ours() -> Any:
            return run_task(model.run(image[..., None].astype(np.float32), PARAMETERS))

        corner = image[:256, :256]  # one tile each, so that neither pays for the first touch of its weights
        stock.eval(corner, compute_masks=False)
        run_task(model.run(corner[..., None].astype(np.float32), PARAMETERS))
        over_single = compare(single, run_stock, ours, run_ours, pairs, args.budget)
        flows = said[-1]
        same = run_task(exact.run(image[..., None].astype(np.float32), PARAMETERS))
        difference = float(np.abs(same.flows - flows[1]).max())
        mean_difference = float(np.abs(same.flows - flows[1]).mean())
        probability_difference = float(np.abs(same.cell_prob - flows[2]).max())
        del stock, exact
        sides, over_default = [single, ours], None
        if not args.quick:
            half = stock_model(weights, args.device, True, depth)
            half.eval(corner, compute_masks=False)
            measure(default, lambda: run_stock(half))
            sides, over_default = [single, default, ours], default.median / ours.median
        overhead = embedding_seconds(model, masks) / (ours.median * BLOCKS / depth)

    passes = len(stock_grid(image.shape)), len(fitted_grid(image.shape))
    speedup = min(over_single, over_default or over_single)
    report(
        f"Cellpose-SAM, {args.size} x {args.size} pixels, {depth} blocks, {args.device}, "
        f"{args.beside} busy processes beside, "
        f"{'random weights' if args.weights is None else args.weights.name}; network only, without masks",
        sides,
        {
            "tiles, stock and ours": f"{passes[0]} and {passes[1]}",
            "precision chosen by the probe": f"{plan.dtype} ({plan.timings})",
            "faster than stock in float32": f"{over_single:.2f} times (median of {len(ours.seconds)} pairs)",
            "the same in processor seconds": f"{processor_ratio(single, ours):.2f} times",
            "faster than stock by default": f"{over_default:.2f} times" if over_default else "not run",
            "map + vectors add": f"{100 * overhead:.2f} % of a pass of 24 blocks ({masks.max()} cells)",
            "largest flow difference": f"{difference:.1e} (mean {mean_difference:.1e}; same tiling, float32)",
            "largest cell prob. difference": f"{probability_difference:.1e}",
        },
        {
            "speedup": round(speedup, 3),
            "speedup_over_float32": round(over_single, 3),
            "speedup_over_default": over_default and round(over_default, 3),
            "passes_stock": passes[0],
            "passes_ours": passes[1],
            "embedding_overhead": round(overhead, 4),
            "max_flow_difference": difference,
            "mean_flow_difference": mean_difference,
            "device": args.device,
            "beside": args.beside,
            "dtype": plan.dtype,
        },
    )


if __name__ == "__main__":
    main()
