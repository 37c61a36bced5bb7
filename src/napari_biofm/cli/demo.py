"""The verbs `demo` (the whole path on a simulated co-recording) and `samples` (its files, and others)."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import note
from napari_biofm.types import BiofmError


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the parser."""
    samples = verbs.add_parser("samples", help="sample data of the tutorials, simulated: images, recordings")
    samples.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the files; those of the same name go",
    )
    samples.set_defaults(run=run_samples)
    demo = verbs.add_parser("demo", help="a worked example in napari")
    demo.add_argument("--headless", action="store_true", help="without a person: needs --out")
    demo.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of screenshot.png, cells.csv, events.csv and report.json; needed with --headless",
    )
    demo.set_defaults(run=run)


def run_samples(args: argparse.Namespace) -> None:
    """Write the files of the tutorials."""
    from napari_biofm.simulate.sample_files import write_samples

    made = write_samples(args.out)
    note(f"{len(made)} files in {args.out}: {', '.join(path.name for path in made)}")


def run(args: argparse.Namespace) -> None:
    """Open napari and walk the path."""
    if args.headless and args.out is None:
        raise BiofmError("demo --headless leaves its results in a folder: give --out DIR.")
    try:
        from napari_biofm.widgets.demo import run_demo
    except ImportError as error:
        raise BiofmError(f"The demo needs Qt ({error}): pip install 'napari-biofm[all]'.") from error
    if args.headless:
        os.environ.setdefault(
            "NAPARI_BIOFM_AUTOSAVE", "off"
        )  # nobody is there to be offered what was left behind
    with screen(args.headless):
        run_demo(args.out, args.headless)
    if args.out is not None:
        note(f"screenshot.png, cells.csv, events.csv, report.json and recipes for 'run' are in {args.out}")


@contextmanager
def screen(headless: bool) -> Iterator[None]:
    """Give Qt a screen where there is none: a virtual one for a run without a person.

    Raises
    ------
    BiofmError
        Where there is neither a screen nor Xvfb.
    """
    if sys.platform != "linux" or any(os.environ.get(k) for k in ("DISPLAY", "WAYLAND_DISPLAY")):
        yield
        return
    if not headless:
        raise BiofmError(
            "there is no screen (DISPLAY is not set): run it in a desktop session, or with --headless"
        )
    program = shutil.which("Xvfb")
    if program is None:
        raise BiofmError("there is no screen, and no Xvfb to make one: install it (Debian: apt install xvfb)")
    heard, told = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(told), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[told],
        stderr=subprocess.DEVNULL,
    )
    os.close(told)
    try:
        with os.fdopen(heard) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise BiofmError("Xvfb did not start; run it by itself to see why")
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        os.environ.pop("DISPLAY", None)
        server.terminate()
        server.wait()
