"""Weights on disk: one folder of one's own, files that are whole or absent.

The folder is, in this order: the argument, the environment variable NAPARI_BIOFM_MODELS, the user's
cache folder. Beside every file lies `<file>.json`: where it came from, its SHA-256, and the licence.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_biofm.files import atomic_write
from napari_biofm.models import registry
from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.models.records import read_record, utc_now, write_record
from napari_biofm.models.registry import ModelEntry
from napari_biofm.types import ModelError, Progress, Task

FOLDER_VARIABLE = "NAPARI_BIOFM_MODELS"


@dataclass(frozen=True)
class Weights:
    """Weights that are here.

    Attributes
    ----------
    path, sha256 : the file and its digest.
    name, family : what it is called, and the adapter that runs it (None where the record does not say).
    entry : the registry's entry, None for a user's own weights.
    about : how a user's own weights were made, where they were made here; JSON values.
    """

    path: Path
    sha256: str
    name: str
    family: str | None
    entry: ModelEntry | None
    about: Mapping[str, Any] = field(default_factory=dict)


def models_folder(folder: Path | str | None = None) -> Path:
    """Return the folder of models (it need not exist yet).

    Parameters
    ----------
    folder : taken as it is where it is given.
    """
    if folder is None:
        folder = os.environ.get(FOLDER_VARIABLE) or None
    if folder is None:
        import pooch

        folder = Path(pooch.os_cache("napari-biofm")) / "models"
    return Path(folder).expanduser()


def find(name: str, folder: Path | str | None = None) -> Path | None:
    """Return the file of a registered model if it is on this machine, also where Cellpose keeps its own.

    Parameters
    ----------
    name : of a registered model.
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.
    """
    entry = registry.get(name)
    candidates = [models_folder(folder) / entry.file_name]
    if entry.family.startswith("cellpose"):
        own = os.environ.get("CELLPOSE_LOCAL_MODELS_PATH")
        candidates.append((Path(own) if own else Path.home() / ".cellpose" / "models") / entry.file_name)
    return next((path for path in candidates if path.is_file()), None)


def resolve(name_or_path: str | Path, folder: Path | str | None = None) -> Weights:
    """Return the weights a user means by a name, an imported model, or a file.

    Parameters
    ----------
    name_or_path : name of a registered or imported model, or the path of a file.
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.

    Raises
    ------
    ModelError
        When they are not on this machine (naming the command that fetches them), or when the file is
        not the one its record or its publisher describes.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        record = read_record(path)
        return Weights(path, digest(path), record.get("name") or path.stem, record.get("family"), None)
    imported = imported_models(folder).get(str(name_or_path))
    if imported is not None:
        return imported
    if path.suffix in (".pt", ".pth", ".safetensors") or len(path.parts) > 1:
        raise ModelError(f"no weights at {path}; check the path")
    entry = registry.get(str(name_or_path))
    registry.check_needs(entry)
    found = find(entry.name, folder)
    if found is None:
        raise ModelError(
            f"{entry.name} ({entry.size / 1e6:.0f} MB, {entry.licence}) is not on this machine; "
            f"run 'napari-biofm models download {entry.name}' or put the file at "
            f"{models_folder(folder) / entry.file_name}"
        )
    return Weights(found, check(entry, found), entry.name, entry.family, entry)


def check(entry: ModelEntry, path: Path) -> str:
    """Return the SHA-256 of `path` after comparing it with what is published or was recorded.

    Parameters
    ----------
    entry : what is published of the weights.
    path : their file.
    """
    recorded = read_record(path).get("sha256")
    actual = digest(path)
    expected = entry.sha256 or recorded
    if expected is not None and actual != expected:
        source = "published" if entry.sha256 else "recorded at its first download"
        raise ModelError(
            f"{path} has SHA-256 {actual[:12]}..., but {expected[:12]}... was {source} for {entry.name}; "
            f"it was cut off, changed or renamed: delete it and run "
            f"'napari-biofm models download {entry.name}'"
        )
    return actual


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, remembered beside it for as long as size and time stay the same.

    Parameters
    ----------
    path : of a file, some GB at most.
    """
    stat = path.stat()
    stamp = [stat.st_size, stat.st_mtime_ns]
    record = read_record(path)
    if record.get("measured") == stamp:
        return str(record["measured_sha256"])
    value = sha256_of(path)
    write_record(path, {**record, "measured": stamp, "measured_sha256": value})
    return value


def verify(name: str, folder: Path | str | None = None) -> Task[str]:
    """Read a model's whole file again and return its SHA-256.

    Parameters
    ----------
    name : of a registered model.
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.

    Raises
    ------
    ModelError
        When it is not here, or not what was published or recorded.
    """
    entry = registry.get(name)
    path = find(name, folder)
    if path is None:
        raise ModelError(f"{name} is not on this machine; run 'napari-biofm models download {name}'")
    yield Progress(0, 1, f"reading {path}")
    record = read_record(path)
    record.pop("measured", None)
    write_record(path, record)
    value = check(entry, path)
    yield Progress(1, 1, f"{name}: {value}")
    return value


def import_model(
    path: Path | str,
    name: str | None = None,
    folder: Path | str | None = None,
    about: Mapping[str, Any] | None = None,
) -> Weights:
    """Take a user's own (fine-tuned) weights into the folder of models.

    The file is opened, identified and copied (an ONNX encoder with the JSON beside it); its SHA-256 is recorded and checked at every use.

    Parameters
    ----------
    path : the weights.
    name : what to call them; the file's stem by default.
    folder : of models.
    about : how they were made, JSON values; kept in the record.

    Raises
    ------
    ModelError
        When the file is not usable, or the name is taken or cannot be a file's name.
    """
    from napari_biofm.models.checkpoints import open_checkpoint

    source = Path(path)
    if source.suffix.lower() == ".onnx":
        from napari_biofm.models.onnx_files import check_onnx, read_description

        check_onnx(source)
        licence = read_description(source.with_suffix(".json")).licence
        family, about = "onnx", {"licence": licence, **(about or {})}
    else:
        family = open_checkpoint(source).family
    if family == "embedded" and not source.with_suffix(".json").is_file():
        raise ModelError(f"{source.with_suffix('.json')} is missing; it belongs to {source.name}")
    name = name or source.stem
    refuse_taken_name(name, folder)
    own = models_folder(folder) / "own"
    target = own / f"{name}{source.suffix or '.pth'}"
    with atomic_write(target) as part:
        shutil.copyfile(source, part)
        sha256 = sha256_of(part)
    beside = source.with_suffix(".json")
    if family in ("embedded", "onnx"):  # its architecture and how it is to be used
        shutil.copyfile(beside, target.with_suffix(".json"))
    record = {"name": name, "family": family, "source": str(source), "sha256": sha256, "imported": utc_now()}
    write_record(target, {**record, "about": dict(about or {})})
    return Weights(target, sha256, name, family, None, dict(about or {}))


def refuse_taken_name(name: str, folder: Path | str | None = None) -> None:
    """Raise ModelError when weights of one's own cannot be called `name`.

    Parameters
    ----------
    name : wanted.
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.
    """
    if not name or name != Path(name).name or name.startswith("."):
        raise ModelError(f"{name!r} cannot be the name of a model: give a word that can be a file's name")
    taken = {path.name.removesuffix(".json") for path in (models_folder(folder) / "own").glob("*.json")}
    if name in registry.names() or any(Path(other).stem == name or other == name for other in taken):
        raise ModelError(f"a model called {name!r} exists already; choose another name")


def imported_models(folder: Path | str | None = None) -> dict[str, Weights]:
    """Return the user's own models by name, without opening them.

    Parameters
    ----------
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.

    Raises
    ------
    ModelError
        When a file is no longer the one that was imported.
    """
    found: dict[str, Weights] = {}
    for record_path in sorted((models_folder(folder) / "own").glob("*.json")):
        path = record_path.with_name(record_path.name.removesuffix(".json"))
        if not path.is_file():
            continue
        record = read_record(path)
        sha256 = digest(path)
        if sha256 != record.get("sha256"):
            raise ModelError(f"{path} is not the file that was imported; import it again under a new name")
        about = record.get("about", {})
        found[record["name"]] = Weights(path, sha256, record["name"], record.get("family"), None, about)
    return found


def overview(folder: Path | str | None = None) -> list[dict[str, Any]]:
    """Return every model as JSON values: registry facts, where the file is, what is missing.

    Parameters
    ----------
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.
    """
    rows = []
    for entry in registry.entries():
        if entry.family == "sam2" and entry.missing:
            continue  # of a program that is not installed
        path = find(entry.name, folder)
        rows.append({**entry.as_dict(), "path": str(path) if path else None, "usable": not entry.obstacle})
    for own in imported_models(folder).values():
        row = {"name": own.name, "family": own.family, "title": "your own", "path": str(own.path)}
        row["licence"] = own.about.get("licence", "yours")
        rows.append({**row, "sha256": own.sha256, "size": own.path.stat().st_size, "usable": True})
    return rows
