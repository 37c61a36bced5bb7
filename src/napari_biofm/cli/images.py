"""Verbs on images: segment, which-model, embed, click, propagate."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np

from napari_biofm.api.cells import embed
from napari_biofm.api.clicks import click, propagate
from napari_biofm.api.comparing import plane_to_compare
from napari_biofm.api.images import chosen_channels, describe_image, picture_of, segment_opened
from napari_biofm.cli.common import DEVICES, drain, inputs_exist, note, shown, written_as
from napari_biofm.cli.results import MaskResults, add_replacing, click_files, kept
from napari_biofm.engine.memory import peak_memory_mb
from napari_biofm.files import CsvWriter, atomic_write
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.io.masks import write_mask
from napari_biofm.images.io.names import image_id, stem_of
from napari_biofm.images.io.plates import fields_of
from napari_biofm.images.left_out import describe
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, make_segmenter
from napari_biofm.images.tiling.large_images import LargeResult, parts_of
from napari_biofm.types import ImageError, SegmentationParameters, Segmenter


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    segment = verbs.add_parser(
        "segment",
        help="instance masks of images",
        description="Finds the cells of images, of stacks in 3D, or of one picture of a movie. Axes that the file does not name "
        "are told by --axes; --projection takes one picture of a movie or stack instead of all planes. Each image is "
        "normalised to its own percentiles by the models; --normalise says to which.",
    )
    segment.add_argument(
        "images", nargs="+", type=Path, metavar="IMG", help="images, stacks, movies, plates of OME-Zarr"
    )
    segment.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of masks and report.json"
    )
    segment.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help=f"of `models list`, or weights (default {DEFAULT_MODEL})",
    )
    segment.add_argument(
        "--diameter",
        type=_positive,
        metavar="PX",
        help="mean diameter of a cell, pixels (default: the model estimates it)",
    )
    segment.add_argument(
        "--cellprob-threshold", type=float, default=0.0, metavar="LOGIT",
        help="logit above which a pixel belongs to a cell (default 0)",
    )  # fmt: skip
    segment.add_argument(
        "--flow-threshold", type=float, default=0.4, metavar="ERROR",
        help="largest mean squared flow error of a mask, no unit; 0 keeps all (default 0.4)",
    )  # fmt: skip
    segment.add_argument(
        "--min-size", type=int, default=15, metavar="PX", help="smallest object, pixels (default 15)"
    )
    segment.add_argument(
        "--relative-size", type=float, default=0.05, metavar="SHARE",
        help="smallest object as a share of the usual one; 0 keeps specks (default 0.05)",
    )  # fmt: skip
    segment.add_argument(
        "--least-contrast", type=float, default=8.0, metavar="N",
        help="contrast over what the ground varies by; 0 keeps all (default 8)",
    )  # fmt: skip
    segment.add_argument(
        "--normalise", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="percentiles of each channel that become 0 and 1 for the model, e.g. 1 99 (default: as the model does)",
    )  # fmt: skip
    segment.add_argument(
        "--channel", metavar="NAME|N", help="channel to segment, by name or counted from 0 (default: all)"
    )
    segment.add_argument(
        "--second-channel", metavar="NAME|N", help="one more, e.g. nuclei beside cells (default none)"
    )
    segment.add_argument("--axes", metavar="TZCYX", help="what the axes are (default: as the file says)")
    segment.add_argument(
        "--projection", type=_picture, metavar="NAME|N",
        help="of a movie or stack, the picture that is segmented: mean, variation, correlation or peak over time, or the "
        "number of a plane or frame from 0 (default: all planes, in 3D)",
    )  # fmt: skip
    segment.add_argument(
        "--device", choices=DEVICES, default="auto", help="where the network runs (default auto)"
    )
    add_replacing(segment)
    segment.set_defaults(run=run_segment)

    embed = verbs.add_parser("embed", help="one vector per cell")
    embed.add_argument("image", type=Path, metavar="IMG", help="the image")
    embed.add_argument(
        "--masks", type=Path, required=True, metavar="MASK", help="label image of the same shape"
    )
    embed.add_argument(
        "--out", type=Path, required=True, metavar="H5AD", help="the table: one row per label, vectors in X"
    )
    embed.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="whose features are pooled, as `models list` names it, or a file",
    )
    embed.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs")
    add_replacing(embed)
    embed.set_defaults(run=run_embed)

    which = verbs.add_parser(
        "which-model", help="run the models that are here on an image and compare their cells"
    )
    which.add_argument("image", type=Path, metavar="IMG", help="the image")
    which.add_argument("--out", type=Path, required=True, metavar="DIR", help="table, picture and masks")
    which.add_argument("--models", metavar="A,B", help="which ones; all that are here by default")
    which.add_argument(
        "--region", type=_region, metavar="Y0,X0,Y1,X1", help="part to look at, pixels; default all"
    )
    which.add_argument(
        "--plane", type=int, metavar="N", help="of a stack, counted from 0; default the middle one"
    )
    which.add_argument(
        "--diameter", type=_positive, metavar="PX", help="of the cells; default each estimates it"
    )
    which.add_argument("--channel", metavar="NAME|N", help="channel to look at, by name or counted from 0")
    which.add_argument("--second-channel", metavar="NAME|N", help="one more, e.g. nuclei beside cells")
    which.add_argument("--axes", metavar="TZCYX", help="what the axes are, where the file does not say")
    which.add_argument("--device", choices=DEVICES, default="auto", help="where networks run")
    add_replacing(which)
    which.set_defaults(run=run_which_model)

    click = verbs.add_parser("click", help="masks of objects from points and boxes")
    click.add_argument("image", type=Path, metavar="IMG", help="the image")
    click.add_argument(
        "--prompts",
        type=Path,
        required=True,
        metavar="JSON",
        help="objects with id, points [y, x, 1 in or 0 out] and box [y0, x0, y1, x1], in pixels",
    )
    click.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the label image and clicks.npz"
    )
    click.add_argument(
        "--model",
        default="auto",
        metavar="NAME",
        help="that answers clicks; auto takes the best one that is there",
    )
    click.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs")
    add_replacing(click)
    click.set_defaults(run=run_click)
    add_propagate(verbs)


def add_propagate(verbs: Any) -> None:
    """Add `propagate`."""
    verb = verbs.add_parser(
        "propagate",
        help="carry the cells of one plane or frame through a stack or movie",
        description="Carries every cell of one plane forwards and backwards. A cell ends before the first plane where its area "
        "jumps, it overlaps its neighbour little, the score falls or it fades; where and why is told.",
    )
    verb.add_argument("stack", type=Path, metavar="STACK", help="stack over z or movie")
    verb.add_argument(
        "--masks", type=Path, required=True, metavar="MASK",
        help="label image of that plane, or of the stack, of which that plane is taken",
    )  # fmt: skip
    verb.add_argument(
        "--plane", type=int, default=0, metavar="N", help="plane to begin with, counted from 0 (default 0)"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="TIF", help="labels of all planes")
    verb.add_argument(
        "--model", default="auto", metavar="NAME",
        help="click model of `models list`, level-sets, or SAM 2 where sam2 is installed; auto takes the best click model",
    )  # fmt: skip
    verb.add_argument("--axes", metavar="TZCYX", help="what the axes are (default: as the file says)")
    verb.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs")
    add_replacing(verb)
    verb.set_defaults(run=run_propagate)


def _picture(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _positive(text: str) -> float:
    value = float(text)
    if not (np.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of pixels")
    return value


def _region(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text} is not y0,x0,y1,x1 in whole pixels")
    return tuple(int(part) for part in parts)


def run_which_model(args: argparse.Namespace) -> None:
    """Write the table, the outlines side by side, and the masks of each model."""
    from napari_biofm.images.segment.agreement import compare_models, panels

    inputs_exist([args.image])
    stem = stem_of(args.image)
    table = args.out / f"{stem}_models.csv"
    if kept(table, force=args.force, resume=args.resume):
        return
    channels = chosen_channels(args.channel, args.second_channel)
    pixels, names = plane_to_compare(args.image, args.region, args.plane, args.axes, channels)
    wanted = args.models.split(",") if args.models else None
    task = compare_models(pixels, SegmentationParameters(args.diameter), wanted, args.device, names)
    compared = drain(task, args.image.name)
    for one in compared.results:
        write_mask(args.out / f"{stem}_{one.name}_mask.tif", one.masks)
    with atomic_write(args.out / f"{stem}_models.png") as temporary:
        imageio.imwrite(temporary, panels(pixels, compared), format="png")
    rows = compared.rows()
    with atomic_write(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file)
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
    for line in compared.describe():
        note(line)


def run_segment(args: argparse.Namespace) -> None:
    """Write one mask per image, and the report; images that fail are named after the others are done."""
    paths = [field for path in inputs_exist(args.images) for field in fields_of(path)]
    results = MaskResults(args.out, paths)
    todo = results.still_to_do(force=args.force, resume=args.resume)
    if not todo:
        return
    model = make_segmenter(args.model, args.device)
    parameters = SegmentationParameters(
        args.diameter,
        args.flow_threshold,
        args.cellprob_threshold,
        args.min_size,
        args.relative_size,
        args.least_contrast,
        args.normalise,
    )
    warm_up(model)
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    provenance: dict[str, Any] = {}
    for path in todo:
        try:
            image, is_stack, names = _open(path, args)
            start = time.perf_counter()
            result = segment_opened(
                image,
                is_stack,
                parameters,
                channels=names,
                model=args.model,
                device=args.device,
                progress=shown(image_id(path)),
            )
        except ImageError as error:
            failed.append(str(error) if image_id(path) in str(error) else f"{image_id(path)}: {error}")
            continue
        seconds = time.perf_counter() - start
        if isinstance(result, LargeResult):
            masks, objects = result.labels(), result.objects
        else:
            masks, objects = result.masks, len(np.unique(result.masks[result.masks > 0]))
        try:
            results.write(path, masks, force=args.force)
        except ImageError as error:
            failed.append(str(error))
            continue
        provenance = dict(result.provenance)
        rows.append(
            {
                **results.row(path),
                "model": result.provenance.get("model", args.model),
                "seconds": seconds,
                "objects": objects,
                "diameter_px": result.diameter,
                "peak_memory_mb": peak_memory_mb(),
                "left_out": dict(provenance.get("left_out") or {}),
                "notes": list(provenance.get("notes") or ()),
            }
        )
        for told in describe(provenance):
            note(f"{image_id(path)}: {told}.")
        found = f"{objects} objects" if objects else "no cells found"
        note(f"{image_id(path)}: {found}, {seconds:.2f} s")
    report = {
        "model": provenance.get("model", args.model),
        "weights_sha256": provenance.get("weights_sha256"),
        "device": provenance.get("device", "cpu"),
        "parameters": vars(parameters),
        "failed": failed,
    }
    results.write_report(report, rows)
    if failed:
        raise ImageError(f"{len(failed)} of {len(paths)} images failed: " + " | ".join(failed))


def _open(path: Path, args: argparse.Namespace) -> tuple[Any, bool, tuple[str, ...] | None]:
    """Return an image, whether it is a stack, and the names of its channels where none was chosen; how it was read, and that a large one goes in parts, is said."""
    opened = describe_image(path, args.axes, chosen_channels(args.channel, args.second_channel))
    for told in opened.notes:
        note(f"{image_id(path)} {told}.")
    image, is_stack = opened.pixels, opened.is_stack
    if args.projection is not None:
        image, is_stack = picture_of(image, is_stack, args.projection, image_id(path)), False
    if isinstance(image, LazyImage):
        note(f"{image_id(path)}: {parts_of(image).describe()}")
    return image, is_stack, opened.channels if args.channel is None else None


def warm_up(model: Segmenter) -> None:
    """Let the network compile and allocate on a small image, so that times are of the work alone."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    spot = 200 * np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / 100) + rng.normal(20, 2, (64, 64))
    drain(model.segment(spot.astype(np.float32), SegmentationParameters()))


def run_embed(args: argparse.Namespace) -> None:
    """Write an AnnData table with one row per label and the model's vectors in X."""
    inputs_exist([args.image, args.masks])
    if args.out.suffix != ".h5ad":
        raise ImageError(f"{args.out} should end in .h5ad, the file format of AnnData.")
    if kept(args.out, force=args.force, resume=args.resume):
        return
    table = embed(
        args.image,
        args.masks,
        model=args.model,
        layer=stem_of(args.image),
        device=args.device,
        progress=shown(args.image.name),
    )
    with atomic_write(args.out) as temporary:
        table.write_h5ad(temporary)


def run_click(args: argparse.Namespace) -> None:
    """Write one label image and one mask per object."""
    from napari_biofm.images.prompt.click import save_clicks

    inputs_exist([args.image, args.prompts])
    stem, archive = click_files(args.image, args.out)
    if kept(args.out / f"{stem}_clicks.tif", force=args.force, resume=args.resume):
        return
    clicked = click(
        args.image, args.prompts, model=args.model, device=args.device, progress=shown(args.image.name)
    )
    _, written = save_clicks(clicked, args.out, stem, archive)
    note(f"{len(clicked.masks)} objects by {clicked.model}, masks in {written.name}")


def run_propagate(args: argparse.Namespace) -> None:
    """Write the labels of all planes, and say how far each cell went."""
    inputs_exist([args.stack, args.masks])
    written_as(args.out, ".tif", ".tiff")
    if kept(args.out, force=args.force, resume=args.resume):
        return
    done = propagate(
        args.stack, args.masks, plane=args.plane, axes=args.axes, model=args.model, device=args.device,
        progress=shown(args.stack.name),
    )  # fmt: skip
    write_mask(args.out, done.labels)
    for cell in done.cells:
        for end, reason in ((cell.first, cell.reason_before), (cell.last, cell.reason_after)):
            if reason:
                note(f"cell {cell.label} ends at plane {end}: {reason}.")
    note(f"{len(done.cells)} cells carried through {len(done.labels)} planes by {done.model}")
