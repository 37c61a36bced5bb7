"""Verbs on learning from the user's own data: train WHAT."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.cli.common import DEVICES, drain, inputs_exist, note
from napari_biofm.files import write_json
from napari_biofm.images.train.sam_settings import SamSettings

if TYPE_CHECKING:
    from napari_biofm.images.train.finetuning import Tuned
    from napari_biofm.images.train.sam_tuning import SamTuned
    from napari_biofm.images.train.teaching import Taught


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser; every kind of training adds its own."""
    train = verbs.add_parser("train", help="teach a model with your own data")
    kinds = train.add_subparsers(dest="what", required=True, metavar="WHAT")
    for add in (add_cellpose, add_sam, add_image):
        add(kinds)


def add_cellpose(kinds: Any) -> None:
    """Add `train cellpose`."""
    cellpose = kinds.add_parser(
        "cellpose",
        help="fine-tune Cellpose-SAM on corrected masks, with a score before and after on images kept back",
    )
    _add_examples(cellpose, "cpsam_v2")
    cellpose.add_argument("--epochs", type=int, default=100, help="rounds through the images")
    cellpose.add_argument(
        "--learning-rate", type=float, default=1e-5, metavar="RATE", help="of AdamW, no unit"
    )
    cellpose.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help="crops at once; halved when memory runs out",
    )
    cellpose.set_defaults(run=run_cellpose)


def add_sam(kinds: Any) -> None:
    """Add `train sam`."""
    sam = kinds.add_parser(
        "sam",
        help="fine-tune the mask decoder of Segment Anything on corrected masks, with a score before and after",
        description="The image encoder stays as it is: each image goes through it once. The mask decoder learns to answer "
        "simulated clicks and boxes on the cells. Told is the mean IoU of cells of images kept back after one click, "
        "three clicks, and a box.",
    )
    _add_examples(sam, "sam_vit_b")
    settings = SamSettings()
    sam.add_argument(
        "--epochs", type=int, default=settings.epochs, metavar="N",
        help="rounds through the cells at most, each of 50 steps at most",
    )  # fmt: skip
    sam.add_argument(
        "--patience", type=int, default=settings.patience, metavar="N",
        help="ends after so many epochs without a better score on watched cells of the taught images",
    )  # fmt: skip
    sam.add_argument(
        "--learning-rate", type=float, default=settings.learning_rate, metavar="RATE",
        help="of AdamW, no unit",
    )  # fmt: skip
    sam.add_argument(
        "--batch", type=int, default=settings.batch, metavar="N",
        help="cells prompted at once",
    )  # fmt: skip
    sam.add_argument(
        "--prompts", type=int, default=settings.prompts, metavar="N",
        help="prompts of a cell in a step: a click or box, then correcting clicks",
    )  # fmt: skip
    sam.add_argument(
        "--prompt-encoder",
        action="store_true",
        help="also train how clicks and boxes are encoded",
    )
    sam.add_argument(
        "--seed", type=int, default=settings.seed, metavar="N",
        help="of all that is drawn",
    )  # fmt: skip
    sam.set_defaults(run=run_sam)


def _add_examples(parser: argparse.ArgumentParser, base: str) -> None:
    """Add what both ways of learning from corrected masks ask for."""
    parser.add_argument("images", type=Path, metavar="DIR", help="folder of images")
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of <image>_labels.tif (default: DIR/labels, or DIR)",
    )
    parser.add_argument("--name", required=True, help="what to call the new model")
    parser.add_argument("--base", default=base, metavar="NAME|PATH", help="what to begin with")
    parser.add_argument(
        "--hold-back",
        type=_fraction,
        default=0.25,
        metavar="FRACTION",
        help="share of the images that is kept for the score; at least one",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="JSON",
        help="write the report here too (default: beside the weights only)",
    )


def add_image(kinds: Any) -> None:
    """Add `train image`."""
    image = kinds.add_parser(
        "image",
        help="teach a copy of the embedded image model with a larger model, or with your own masks",
    )
    image.add_argument("images", type=Path, metavar="DIR", help="folder of images")
    source = image.add_mutually_exclusive_group(required=True)
    source.add_argument("--teacher", metavar="NAME|PATH", help="a model that segments better, such as cpsam")
    source.add_argument(
        "--masks", type=Path, metavar="DIR", help="folder of <image>_labels.tif to learn from instead"
    )
    image.add_argument("--name", required=True, help="what to call the new model")
    image.add_argument(
        "--base", type=Path, metavar="FILE", help="weights to begin with; those in the package if not given"
    )
    image.add_argument("--steps", type=int, default=300, help="batches learnt from")
    image.add_argument("--learning-rate", type=float, default=2e-4, help="of AdamW")
    image.add_argument("--batch", type=int, default=4, help="crops in each batch")
    image.add_argument(
        "--hold-back",
        type=_fraction,
        default=0.25,
        metavar="FRACTION",
        help="of the images, for the score; at least one",
    )
    image.add_argument("--seed", type=int, default=0, help="of the order of images and of the first values")
    image.add_argument("--device", choices=DEVICES, default="auto", help="on which the teacher runs")
    image.add_argument("--out", type=Path, metavar="JSON", help="write the report here too")
    image.set_defaults(run=run_image)


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _tell(made: Tuned | SamTuned | Taught, out: Path | None) -> None:
    """Write the report of a model that was taught where it was asked for, say what it says, and print where the model lies."""
    if out is not None:
        write_json(out, {"name": made.name, "path": str(made.path), **made.report})
    note(made.describe())
    print(made.path)


def run_cellpose(args: argparse.Namespace) -> None:
    """Teach a copy of Cellpose-SAM; the same call goes on where a stopped one was."""
    from napari_biofm.images.train.examples import read_examples
    from napari_biofm.images.train.finetuning import TuningSettings, tune_job

    inputs_exist([args.images, *([args.masks] if args.masks else [])])
    settings = TuningSettings(
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        batch=args.batch,
        fraction=args.hold_back,
    )
    examples = read_examples(args.images, args.masks)
    tuned = drain(tune_job(examples, args.name, args.base, settings, args.device), args.name)
    for remark in tuned.report["notes"]:
        note(remark)
    _tell(tuned, args.out)


def run_sam(args: argparse.Namespace) -> None:
    """Teach a copy of Segment Anything; what its encoder gave of the images is kept for the next call."""
    from napari_biofm.images.train.examples import read_examples
    from napari_biofm.images.train.sam_tuning import tune_sam_job

    inputs_exist([args.images, *([args.masks] if args.masks else [])])
    settings = SamSettings(
        epochs=args.epochs,
        patience=args.patience,
        learning_rate=args.learning_rate,
        batch=args.batch,
        prompts=args.prompts,
        prompt_encoder=args.prompt_encoder,
        fraction=args.hold_back,
        seed=args.seed,
    )
    examples = read_examples(args.images, args.masks)
    tuned = drain(tune_sam_job(examples, args.name, args.base, settings, args.device), args.name)
    _tell(tuned, args.out)


def run_image(args: argparse.Namespace) -> None:
    """Teach a copy of the embedded model with another model's masks, or with masks in a folder."""
    from napari_biofm.images.train.examples import check_examples, read_examples, read_images
    from napari_biofm.images.train.teaching import TeachSettings, teach_job, teacher_named

    inputs_exist([p for p in (args.images, args.masks, args.base) if p is not None])
    settings = TeachSettings(args.steps, args.batch, args.learning_rate, args.hold_back, args.seed)
    teacher = None if args.teacher is None else teacher_named(args.teacher, args.device)
    if teacher is None:
        examples = check_examples(read_examples(args.images, args.masks))
    else:
        examples = read_images(args.images)
    taught = drain(teach_job(examples, args.name, teacher, settings, args.base), args.name)
    _tell(taught, args.out)
