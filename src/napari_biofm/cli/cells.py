"""Verbs on cells: teach a classifier from labelled crops or masks, and let it predict."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cells.embed.embeddings import crop_encoder
from napari_biofm.cli.cell_matches import add_match
from napari_biofm.cli.cell_tables import add_measure
from napari_biofm.cli.common import DEVICES, drain, inputs_exist, note
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.types import CellsError


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    cells = verbs.add_parser("cells", help="cell states: fit a classifier, predict with it")
    what = cells.add_subparsers(dest="what", required=True, metavar="WHAT")
    fit = what.add_parser("fit", help="train a head on labelled cells and score it on groups left out")
    _add_cells(fit)
    fit.add_argument("--labels", type=Path, required=True, metavar="CSV", help="object_id,label[,group]")
    fit.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="HEAD_DIR",
        help="folder of the trained head, with scores.json",
    )
    fit.add_argument(
        "--head",
        default="ensemble",
        help="kind of classifier: ensemble, logistic, neighbours, discriminant, forest, boosting or network",
    )
    fit.set_defaults(run=run_fit)
    regress = what.add_parser(
        "regress", help="train a head on measured values and score it on groups left out"
    )
    _add_cells(regress)
    regress.add_argument(
        "--targets", type=Path, required=True, metavar="CSV|H5AD", help="object_id and columns of numbers"
    )
    regress.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="HEAD_DIR",
        help="folder of the trained head, with scores.json",
    )
    regress.add_argument(
        "--target", action="append", metavar="NAME", help="a column to learn; all when not given"
    )
    regress.set_defaults(run=run_regress)
    add_measure(what)
    add_match(what)
    predict = what.add_parser("predict", help="classes or values of cells by a trained head")
    _add_cells(predict)
    predict.add_argument(
        "--head",
        type=Path,
        required=True,
        metavar="HEAD_DIR",
        help="folder that `cells fit` or `cells regress` wrote",
    )
    predict.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="the table: object_id, label, probability"
    )
    predict.add_argument("--min-probability", type=float, default=0.0, help="below it a cell is 'unknown'")
    predict.set_defaults(run=run_predict)


def _add_cells(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crops", type=Path, metavar="TIF", help="(N, Y, X[, C]) stack, one cell each")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of images, in place of --crops")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="folder of label images, named like the images"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help="encoder of the vectors")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs")


def _cells(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that say which cells are meant."""
    if args.crops is not None:
        if args.images is not None or args.masks is not None:
            raise CellsError("give either --crops, or --images and --masks, not both")
        inputs_exist([args.crops])
        return {"crops": args.crops}
    if args.images is None or args.masks is None:
        raise CellsError("say which cells: --crops STACK, or --images DIR and --masks DIR")
    inputs_exist([args.images, args.masks])
    return {"images": args.images, "masks": args.masks}


def run_fit(args: argparse.Namespace) -> None:
    """Write the head and its scores."""
    from napari_biofm.cells.classify.commands import fit

    inputs_exist([args.labels])
    chosen = _cells(args)
    encoder = crop_encoder(args.model, args.device)
    found = drain(fit(args.labels, args.out, encoder=encoder, head=args.head, **chosen), "fit")
    note(
        f"macro-F1 {found.report.model.macro_f1:.3f} on cells left out, vectors: {', '.join(found.embeddings)}"
    )


def run_regress(args: argparse.Namespace) -> None:
    """Write the head of continuous targets and its scores."""
    from napari_biofm.cells.classify.commands import regress

    inputs_exist([args.targets])
    chosen = _cells(args)
    encoder = crop_encoder(args.model, args.device)
    found = drain(regress(args.targets, args.out, encoder=encoder, targets=args.target, **chosen), "regress")
    score = found.scores[found.embedding]
    for name, r2, chance, p in zip(score.targets, score.r2, score.chance, score.p, strict=True):
        note(f"{name}: R2 {r2:.3f} on cells left out (permuted {chance:.3f}, p {p:.2f})")
    for words in score.warnings:
        note(words)


def run_predict(args: argparse.Namespace) -> None:
    """Write the predictions."""
    from napari_biofm.cells.classify.commands import predict

    inputs_exist([args.head])
    chosen = _cells(args)
    encoder = crop_encoder(args.model, args.device)
    n = drain(
        predict(args.head, args.out, encoder=encoder, min_probability=args.min_probability, **chosen),
        "predict",
    )
    note(f"{n} cells")
