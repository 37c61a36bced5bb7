"""The record beside a file of weights: where it came from, its digest, its licence."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from napari_biofm.files import write_text


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def read_record(path: Path) -> dict[str, Any]:
    """Return the record beside a file of weights; empty where there is none that can be read.

    Parameters
    ----------
    path : of the weights.
    """
    try:
        record = json.loads(_record_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write the record beside a file of weights; a folder that cannot be written to goes without.

    Parameters
    ----------
    path : of the weights.
    record : JSON values.
    """
    with contextlib.suppress(OSError):
        write_text(_record_path(path), json.dumps(record, indent=1))


def utc_now() -> str:
    """Return the time now, UTC, as records hold it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
