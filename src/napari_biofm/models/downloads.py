"""Downloads of weights: they resume, and what appears is whole and verified.

With NAPARI_BIOFM_OFFLINE=1 no connection is ever opened.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from napari_biofm.models import registry
from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.models.records import utc_now, write_record
from napari_biofm.models.registry import ModelEntry
from napari_biofm.models.store import check, find, models_folder
from napari_biofm.types import ModelError, Progress, Task

OFFLINE_VARIABLE = "NAPARI_BIOFM_OFFLINE"
_CHUNK = 1 << 20
_TIMEOUT_S = 30.0


def is_offline() -> bool:
    """Say whether the user forbade connections."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() in ("1", "true", "yes")


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
    write_record(target, {**record, "licence": entry.licence, "downloaded": utc_now()})
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
