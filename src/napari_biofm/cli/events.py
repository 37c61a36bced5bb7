"""`napari-biofm events`: one recording into one table, or many into a folder with a summary."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

from napari_biofm.api.protocols import kinds_of
from napari_biofm.api.signals import channels_of, detect_events, detection_quality
from napari_biofm.cli.common import inputs_exist, note, shown
from napari_biofm.cli.detection import add_detection_over_settings
from napari_biofm.cli.reading import add_channel, add_reading, add_rejected, open_one, say_kinds
from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.files import CsvWriter, write_text
from napari_biofm.types import BiofmError, RecordingError


def add_verb(verbs: Any) -> None:
    """Add the verb to the parser."""
    events = verbs.add_parser(
        "events",
        help="find events in recordings",
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    events.add_argument("-h", "--help", nargs=0, action=_Help, help="show this help and stop")
    events.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recordings; .npz and .npy too")
    events.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CSV|DIR",
        help="a table; a folder for several files; JSON with --quality",
    )
    add_detection_over_settings(events)
    events.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="what physio-FM was taught, written by `adapt` or saved in the dock",
    )
    events.add_argument(
        "--settings", type=Path, metavar="JSON", help="saved in the dock; options given here go before it"
    )
    events.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="of the detector, listed below; may be given several times",
    )
    for name in ("rise", "decay"):
        events.add_argument(
            f"--{name}",
            type=float,
            metavar="S",
            help=f"{name} time constant of the template (detectors template, deconvolution), in seconds",
        )
    add_channel(events)
    add_rejected(events)
    events.add_argument(
        "--quality",
        action="store_true",
        help="how good detection is on this recording instead: recall of hidden events, false events; --out is a .json",
    )
    events.add_argument("--all-scores", action="store_true", help="every candidate, whatever its score")
    add_reading(events)
    events.set_defaults(run=run_events)


class _Help(argparse.Action):
    """Help with the options of every detector; the detectors are imported when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from napari_biofm.events.options import COMMON_OPTIONS, option_lines

        lines = ["options of the detectors:", "  every detector:"]
        lines += [f"    {line}" for line in option_lines(COMMON_OPTIONS)]
        for name in DETECTORS:
            declared = option_lines(make_detector(name).options)
            lines += [f"  {name}:", *(f"    {line}" for line in declared or ["none"])]
        parser.epilog = "\n\n".join(part for part in (parser.epilog, "\n".join(lines)) if part)
        parser.print_help()
        parser.exit()


def run_events(args: argparse.Namespace) -> None:
    """Write the events of one recording, or of many.

    Raises
    ------
    RecordingError
        If a file of several cannot be read; the others are finished and the summary says which.
    """
    from napari_biofm.events.options import option_from_text
    from napari_biofm.events.recipe import Recipe

    recipe = Recipe() if args.settings is None else Recipe.read(args.settings)
    given = {key: getattr(args, key) for key in ("detector", "kind", "preset") if getattr(args, key)}
    if recipe.detector != given.get("detector", recipe.detector):
        recipe = dataclasses.replace(recipe, options={})  # those of the file are for another detector
    shape = {
        f"{name}_s": getattr(args, name) for name in ("rise", "decay") if getattr(args, name) is not None
    }
    options = {**recipe.options, **shape, **dict(map(option_from_text, args.option))}
    recipe = dataclasses.replace(recipe, **given, options=options)
    recipe.check()
    inputs_exist([*args.files, *([args.head] if args.head is not None else [])])
    head = None
    if args.head is not None:
        from napari_biofm.events.physio_fm.head import AdaptedHead

        head = AdaptedHead.load(args.head)
    if args.quality:
        _quality(args, recipe, head)
        return
    if len(args.files) == 1 and args.out.suffix.lower() == ".csv":
        write_text(args.out, _table(args.files[0], args, recipe, head)[0])
        return
    names = _names(args.files)
    rows: list[list[Any]] = []
    for path, name in zip(args.files, names, strict=True):
        try:
            text, row = _table(path, args, recipe, head)
            write_text(args.out / name, text)
            rows.append([path.name, name, *row, ""])
        except BiofmError as error:
            note(str(error))
            rows.append([path.name, "", "", "", "", "", str(error)])
    write_text(args.out / "summary.csv", _summary(rows))
    failed = [row[0] for row in rows if row[-1]]
    if failed:
        raise RecordingError(
            f"{len(failed)} of {len(rows)} files failed ({', '.join(failed[:5])}); see summary.csv"
        )


def _quality(args: argparse.Namespace, recipe: Any, head: Any) -> None:
    """Write how good detection is on one recording.

    Raises
    ------
    RecordingError
        If there are several files, or --out is no .json.
    """
    if len(args.files) != 1 or args.out.suffix.lower() != ".json":
        raise RecordingError(
            f"--quality looks at one recording and writes a .json, not {len(args.files)} and {args.out.name}: give one file "
            "and --out quality.json"
        )
    recording = recipe.prepared(open_one(args.files[0], args))
    report = detection_quality(
        recording,
        detector=recipe.detector,
        kind=recipe.settings.kind,
        preset=recipe.settings.preset,
        options=recipe.settings.options,
        channel=channels_of(recording, args.channel, args.rejected),
        taught=head,
        progress=shown(args.files[0].name),
    )
    write_text(args.out, json.dumps({"file": args.files[0].name, **report}, indent=1) + "\n")
    note(str(report["methods"]))


def _table(path: Path, args: argparse.Namespace, recipe: Any, head: Any) -> tuple[str, list[Any]]:
    """Return the events as CSV, and sweeps, seconds, number of events and of channels."""
    from napari_biofm.events.quality import why_nothing
    from napari_biofm.events.table import to_csv

    recording = recipe.prepared(open_one(path, args))
    channels = channels_of(recording, args.channel, args.rejected)
    kinds = None
    if head is None and recipe.settings.kind == "auto":
        kinds = kinds_of(recording, detector=recipe.detector, channel=channels)
        say_kinds(path.name, recording, kinds)
    table = detect_events(
        recording,
        detector=recipe.detector,
        kind=recipe.settings.kind,
        preset=recipe.settings.preset,
        options=recipe.settings.options,
        channel=channels,
        all_scores=args.all_scores,
        taught=head,
        kinds=kinds,
        progress=shown(path.name),
    )
    if not len(table):
        for words in why_nothing(recording, channels):
            note(f"{path.name}: {words}")
    return to_csv(table), [
        recording.n_sweeps,
        len(channels),
        f"{sum(recording.duration(i) for i in range(recording.n_sweeps)):.6g}",
        len(table),
    ]


def _names(paths: list[Path]) -> list[str]:
    """Return a table's name for each file, by its stem, with its ending or a number where stems are alike."""
    names: list[str] = []
    for path in paths:
        alike = sum(one.stem == path.stem for one in paths) > 1
        name, n = f"{path.name if alike else path.stem}_events.csv", 2
        while name in names:
            name, n = f"{path.name}_{n}_events.csv", n + 1
        names.append(name)
    return names


def _summary(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(["file", "table", "sweeps", "channels", "seconds", "events", "error"])
    writer.writerows(rows)
    return text.getvalue()
