"""Weights on disk: one folder of one's own, downloads that resume, files that are whole or absent.

The folder is, in this order: the argument, the environment variable NAPARI_BIOFM_MODELS, the user's
cache folder. With NAPARI_BIOFM_OFFLINE=1 no connection is ever opened. Beside every file lies
`<file>.json`: where it came from, its SHA-256, and the licence.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_biofm.files import atomic_write, write_text
from napari_biofm.models import registry
from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.models.registry import ModelEntry
from napari_biofm.types import ModelError, Progress, Task

FOLDER_VARIABLE = "NAPARI_BIOFM_MODELS"
OFFLINE_VARIABLE = "NAPARI_BIOFM_OFFLINE"
_CHUNK = 1 << 20
_TIMEOUT_S = 30.0


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


def is_offline() -> bool:
    """Say whether the user forbade connections."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() in ("1", "true", "yes")


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
        record = _read_record(path)
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
    recorded = _read_record(path).get("sha256")
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
    record = _read_record(path)
    if record.get("measured") == stamp:
        return str(record["measured_sha256"])
    value = sha256_of(path)
    _write_record(path, {**record, "measured": stamp, "measured_sha256": value})
    return value


def download(name: str, folder: Path | str | None = None) -> Task[Path]:
    """Fetch a registered model, resuming what an earlier try left, and return its file.

    Yields progress in bytes. The file appears under its name only when it is whole and verified.

    Parameters
    ----------
    name : of a registered model.
    folder : of models; None for `NAPARI_BIOFM_MODELS`, else the user's cache.

    Raises
    ------
    ModelError
        When its needs are not met, connections are forbidden, or no source gives the right file.
    """
    entry = registry.get(name)
    registry.check_needs(entry)
    present = find(name, folder)
    if present is not None:
        yield Progress(entry.size, entry.size, f"{name} is here: {present}")
        check(entry, present)
        return present
    target = models_folder(folder) / entry.file_name
    if is_offline():
        raise ModelError(
            f"{name} is not at {target} and {OFFLINE_VARIABLE} forbids downloading; "
            f"copy {entry.file_name} there from a machine that has it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    for url in entry.urls:
        try:
            yield from _fetch(url, entry, target)
            return target
        except (OSError, ModelError) as error:
            failures.append(f"{url}: {error}")
            yield Progress(0, entry.size, f"{url} failed ({error}); trying the next source")
    raise ModelError(f"{name} could not be downloaded: " + "; ".join(failures))


def _fetch(url: str, entry: ModelEntry, target: Path) -> Generator[Progress, None, None]:
    """Download `url` to `target` through a part file that a later try continues."""
    part = target.with_name(target.name + ".part")
    done, total = 0, 0
    for done, total in _stream(url, part, part.stat().st_size if part.exists() else 0):
        yield Progress(done, total or entry.size, f"{entry.name}: {done / 1e6:.0f} MB")
    if total and done < total:
        raise ModelError(f"the connection ended after {done} of {total} bytes; start again to continue")
    yield Progress(done, done, f"{entry.name}: verifying")
    sha256 = sha256_of(part)
    if entry.sha256 is not None and sha256 != entry.sha256:
        part.unlink()
        raise ModelError(f"what came has SHA-256 {sha256[:12]}..., {entry.sha256[:12]}... is published")
    os.replace(part, target)
    record = {"name": entry.name, "family": entry.family, "source": url, "sha256": sha256}
    _write_record(target, {**record, "licence": entry.licence, "downloaded": _now()})
    note = (
        "verified" if entry.sha256 else "no digest is published for it, so the one it came with is recorded"
    )
    yield Progress(done, done, f"{entry.name}: {note}")


def _stream(url: str, part: Path, done: int) -> Iterator[tuple[int, int]]:
    """Append the rest of `url` to `part`; yield (bytes so far, bytes in all or 0)."""
    request = urllib.request.Request(url, headers={"User-Agent": "napari-biofm"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is left to fetch: the part is whole
            yield done, done
            return
        raise
    with closing(response):
        resumed = done > 0 and getattr(response, "status", 200) == 206
        done = done if resumed else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else 0
        with open(part, "ab" if resumed else "wb") as file:
            yield done, total
            while block := response.read(_CHUNK):
                file.write(block)
                done += len(block)
                yield done, total


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
    record = _read_record(path)
    record.pop("measured", None)
    _write_record(path, record)
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
    record = {"name": name, "family": family, "source": str(source), "sha256": sha256, "imported": _now()}
    _write_record(target, {**record, "about": dict(about or {})})
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
        record = _read_record(path)
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


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(_record_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(path: Path, record: dict[str, Any]) -> None:
    """Write the record beside `path`; a folder that cannot be written to goes without."""
    with contextlib.suppress(OSError):
        write_text(_record_path(path), json.dumps(record, indent=1))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
