"""Verbs on models and on this machine: models, doctor."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from napari_biofm import __version__
from napari_biofm.cli import machine
from napari_biofm.cli.common import drain, note, print_json
from napari_biofm.types import BiofmError

PACKAGES = (
    "napari",
    "torch",
    "torchvision",
    "cellpose",
    "segment-anything",
    "pyabf",
    "numpy",
    "zarr",
    "anndata",
)
EXTRAS = {"formats": ("neo", "pynwb", "wfdb", "h5py"), "distributed": ("dask", "distributed")}


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    models = verbs.add_parser("models", help="which models there are, and their weights")
    what = models.add_subparsers(dest="what", required=True, metavar="WHAT")
    listing = what.add_parser("list", help="name, size, licence, and whether the weights are here")
    listing.add_argument("--json", action="store_true", help="as JSON on stdout")
    listing.set_defaults(run=run_list)
    for name, text, run in (
        ("download", "fetch and verify weights; resumes", run_download),
        ("verify", "compare weights with their published or recorded hash", run_verify),
    ):
        one = what.add_parser(name, help=text)
        one.add_argument("model", help="its name, as `models list` shows it")
        one.set_defaults(run=run)
    path = what.add_parser("path", help="where weights lie, or the folder of all")
    path.add_argument("model", nargs="?", help="its name, as `models list` shows it")
    path.set_defaults(run=run_path)
    add = what.add_parser("import", help="add weights of your own, e.g. fine-tuned Cellpose")
    add.add_argument("file", type=Path, help="ONNX, safetensors or a torch file with tensors only")
    add.add_argument("--name", help="to list it by (default: that of the file)")
    add.set_defaults(run=run_import)
    doctor = verbs.add_parser("doctor", help="what works on this machine, and what to do where it does not")
    doctor.add_argument("--json", action="store_true", help="as JSON on stdout")
    doctor.set_defaults(run=run_doctor)


def run_list(args: argparse.Namespace) -> None:
    """Print every model that is known."""
    from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, families
    from napari_biofm.models.store import overview

    built_in = [
        {
            "name": name,
            "title": family.title,
            "good_for": family.good_for,
            "licence": family.licence,
            "installed": True,
            "default": name == DEFAULT_MODEL,
        }
        for name, family in families().items()
    ]
    known = {row["name"] for row in built_in}
    rows = built_in + [row for row in overview() if row["name"] not in known]
    if args.json:
        print_json(rows)
        return
    for row in rows:
        size = f"{row['size'] / 1e6:.0f} MB" if row.get("size") else "in the package"
        state = (
            "cannot run here"
            if row.get("obstacle")
            else "here"
            if row.get("installed", row.get("path"))
            else "not downloaded"
        )
        print(f"{row['name']:<24} {size:>14}  {state:<15} {row['licence']:<14} {row['title']}")
        for remark in (row.get("licence_note"), row.get("obstacle")):
            if remark:
                print(f"{'':<24} {remark}")


def run_download(args: argparse.Namespace) -> None:
    """Fetch the weights of one model; its licence is said first."""
    from napari_biofm.models.downloads import download
    from napari_biofm.models.registry import get

    entry = get(args.model)
    note(f"{entry.name}: {entry.licence}. {entry.licence_note}")

    print(drain(download(args.model), args.model))


def run_verify(args: argparse.Namespace) -> None:
    """Check the weights of one model."""
    from napari_biofm.models.store import verify

    print(drain(verify(args.model), args.model))


def run_path(args: argparse.Namespace) -> None:
    """Print the folder of models, or the file of one."""
    from napari_biofm.models.store import models_folder, resolve

    print(models_folder() if args.model is None else resolve(args.model).path)


def run_import(args: argparse.Namespace) -> None:
    """Add the user's own weights."""
    from napari_biofm.models.store import import_model

    weights = import_model(args.file, args.name)
    print(f"{weights.name}: {weights.path}")


def run_doctor(args: argparse.Namespace) -> None:
    """Report on this machine; raise if something that everything needs is broken."""
    report = examine()
    if args.json:
        print_json(report)
    else:
        for key, value in report.items():
            if key != "problems":
                print(f"{key:<12} {value}")
        for problem in report["problems"]:
            print(f"! {problem}")
        if not report["problems"]:
            print("All is well.")
    if report["problems"]:
        raise BiofmError(f"{len(report['problems'])} problems found: {' | '.join(report['problems'])}")


def examine() -> dict[str, Any]:
    """Return versions, devices, folders, and problems with their remedies."""
    problems: list[str] = []
    packages = {name: _version(name) for name in PACKAGES}
    problems += [
        f"{n} is missing: pip install --upgrade napari-biofm" for n, v in packages.items() if v is None
    ]
    bindings = [name for name in machine.BINDINGS if importlib.util.find_spec(name)]
    problems += machine.bindings_trouble(bindings, importlib.util.find_spec("PyQt5") is not None)
    tried = {}
    for name, attempt in (
        ("model", machine.model_read),
        ("weights", machine.weights_checked),
        ("cache", machine.cache_written),
        ("cluster", machine.cluster_answers),
    ):
        tried[name], trouble = attempt()
        problems += trouble
    tried["graphics"], trouble = machine.graphics() if bindings else ("not tried: there is no Qt", [])
    problems += trouble
    devices, trouble = _devices()
    problems += trouble
    engine = _engine()
    if isinstance(engine, str):
        problems.append(engine)
    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": packages,
        "extras": {k: all(importlib.util.find_spec(m) for m in v) for k, v in EXTRAS.items()},
        "qt": bindings,
        **tried,
        "devices": devices,
        "engine": engine,
        "disk_free_gb": round(shutil.disk_usage(Path.home()).free / 1e9, 1),
        "problems": problems,
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> tuple[list[str], list[str]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [], [f"torch cannot be loaded ({error}): reinstall torch and torchvision together"]
    there = ["cpu"]
    if torch.cuda.is_available():
        there += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        there.append("mps")
    return there, []


def _engine() -> Any:
    """Start the worker process as a dock would and ask who it is."""
    from napari_biofm.engine import make_engine, probe

    engine = make_engine("worker")
    try:
        return engine.submit(probe.describe_process).result(90.0)
    except BiofmError as error:
        return f"the worker process does not answer: {error}"
    finally:
        engine.close()
