"""The verb `run`: a recipe on many files."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from napari_biofm.batch.items import join_of
from napari_biofm.batch.recipe import Recipe, schema
from napari_biofm.batch.run import planned, run_recipe
from napari_biofm.cli.common import note, print_json
from napari_biofm.types import BatchError

SOME_FAILED = 3
A_RECIPE = """a recipe:
  [input]
  images = ["fields/*.tif"]
  [[step]]
  do = "segment"
  [[step]]
  do = "measure"
"""


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    run = verbs.add_parser(
        "run",
        help="a recipe on many files",
        description="Runs the steps of a recipe on all its files. Exit code 0: all done; 3: some files failed.",
        epilog=A_RECIPE,
    )
    run.add_argument("recipe", type=Path, nargs="?", metavar="TOML", help="the recipe")
    run.add_argument(
        "--images", nargs="+", metavar="FILE", help="instead of a recipe: files, folders, patterns"
    )
    run.add_argument(
        "--recordings", nargs="+", metavar="FILE", help="instead of a recipe: files, folders, patterns"
    )
    run.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="instead of a recipe: an entry of [input]",
    )
    run.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="STEP",
        help="instead of a recipe: a step, such as \"do='segment', diameter=30\"; again for more",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: the recipe's)")
    run.add_argument(
        "--scheduler",
        default="local",
        metavar="local|ADDRESS|slurm|pbs|lsf",
        help="where to work (default local)",
    )
    run.add_argument(
        "--jobs", type=_positive, default=_workers(), metavar="N",
        help="worker processes, or jobs of the queue (default: one per core; 1 without the extra distributed)",
    )  # fmt: skip
    again = run.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="do what is missing, failed or changed")
    again.add_argument(
        "--force", action="store_true", help="remove the results of a former run and begin anew"
    )
    run.add_argument("--limit", type=_positive, metavar="N", help="the first N files only")
    run.add_argument("--dry-run", action="store_true", help="list the files and their steps, and stop")
    run.add_argument("--json", action="store_true", help="counts and failures as JSON on stdout")
    run.add_argument(
        "--log-json", type=Path, metavar="FILE", help="a line of JSON for every file as it is done"
    )
    run.add_argument("--schema", action="store_true", help="print the JSON schema of recipes, and stop")
    run.set_defaults(run=run_batch)


def _workers() -> int:
    """Return how many processes are started where nobody says: one without what more of them need."""
    return (os.cpu_count() or 1) if importlib.util.find_spec("distributed") else 1


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def run_batch(args: argparse.Namespace) -> int:
    """Run the recipe; returns the exit code."""
    if args.schema:
        print_json(schema())
        return 0
    recipe = _recipe(args)
    if args.dry_run:
        rows: list[dict[str, Any]] = [
            {"file": str(item.path), "kind": item.kind, "steps": steps, **dict(item.columns)}
            for item, steps in planned(recipe, args.limit)
        ]
        if args.json:
            print_json(rows)
        else:
            for row in rows:
                print(f"{row['file']}: {', '.join(row['steps'])}")
            print(f"{len(rows)} files")
            if recipe.conditions is not None:
                print(join_of(recipe, [item.path for item, _ in planned(recipe, args.limit)]).preview())
        return 0
    told = _Told(args.log_json)
    result = run_recipe(
        recipe, args.out, scheduler=args.scheduler, jobs=args.jobs, resume=args.resume, force=args.force,
        limit=args.limit, listener=told,
    )  # fmt: skip
    told.end()
    failed = result.failed
    for row in failed[:10]:
        note(f"failed: {row['error']}")
    for words in (*result.problems, *result.notes):
        note(words)
    note(
        f"{len(result.rows) - len(failed)} of {len(result.rows)} files done ({result.kept} from before), "
        f"{result.seconds:.1f} s {result.where}; see {result.out / 'report.html'}"
    )
    if args.json:
        print_json(
            {
                "items": len(result.rows), "done": len(result.rows) - len(failed), "failed": len(failed),
                "kept": result.kept, "seconds": round(result.seconds, 3), "tables": result.tables,
                "errors": {row["path"]: row["error"] for row in failed}, "problems": list(result.problems),
                "notes": list(result.notes),
            }
        )  # fmt: skip
    return SOME_FAILED if failed or result.problems else 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """Return the recipe of a file, or the one that the options spell."""
    spelt = bool(args.images or args.recordings or args.input or args.step)
    if args.recipe is not None:
        if spelt:
            raise BatchError("give a recipe, or --images, --recordings, --input and --step, not both.")
        return Recipe.read(args.recipe)
    if not spelt:
        raise BatchError("give the recipe: napari-biofm run RECIPE.toml")
    entries: dict[str, Any] = {}
    for text in args.input:
        entries |= _table(text, "--input")
    entries |= {k: v for k, v in (("images", args.images), ("recordings", args.recordings)) if v}
    return Recipe.of({"input": entries, "step": [_table(text, "--step") for text in args.step]}, Path.cwd())


def _table(text: str, option: str) -> dict[str, Any]:
    """Return what stands between the braces of a TOML table."""
    try:
        return dict(tomllib.loads(f"x = {{{text}}}")["x"])
    except tomllib.TOMLDecodeError as error:
        raise BatchError(
            f"{option} {text!r} is no TOML ({error}); write \"do='segment', diameter=30\"."
        ) from error


class _Told:
    """Progress with the time that is left, on a terminal; lines of JSON where they are wanted."""

    def __init__(self, log: Path | None) -> None:
        self.started, self.first, self.last = time.monotonic(), 0, 0.0
        self.log = log
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("", encoding="utf-8")

    def __call__(self, done: int, total: int, row: dict[str, Any]) -> None:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                kept = {
                    k: row.get(k) for k in ("key", "path", "state", "error", "seconds", "objects", "events")
                }
                file.write(json.dumps({"done": done, "total": total, **kept}) + "\n")
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self.last < 0.2 and done < total):
            self.first = self.first or done
            return
        self.first, self.last = self.first or done, now
        rate = (now - self.started) / max(done - self.first + 1, 1)
        left = rate * (total - done)
        print(f"\r{done} of {total}, {left:.0f} s left ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line of progress."""
        if sys.stderr.isatty():
            print(file=sys.stderr)
