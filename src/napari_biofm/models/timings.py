"""The shortest times that networks were seen to take on this machine.

A precision is chosen by timing it. While another program is busy one of the two times may be long by chance; the
shortest of all starts is not, so that the choice does not change with the moment.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from napari_biofm.files import write_json

NAME = "timings.json"


def timings_file() -> Path:
    """Return where the times are kept: in the folder of NAPARI_BIOFM_CACHE, else in the user's cache."""
    stated = os.environ.get("NAPARI_BIOFM_CACHE", "")
    if stated:
        return Path(stated) / NAME
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / NAME


def machine() -> str:
    """Return a name for what the times depend on: processor, its threads in use, and the version of torch."""
    import torch

    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    return f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def known(key: str) -> dict[str, float]:
    """Return the shortest seconds seen under a key, by precision; empty where there are none.

    Parameters
    ----------
    key : as of `shortest`.
    """
    return {name: seconds for name, seconds in _all().get(key, {}).items() if seconds > 0}


def shortest(key: str, timings: Mapping[str, float]) -> dict[str, float]:
    """Return the shortest seconds of now and before, by precision, and keep them.

    Parameters
    ----------
    key : the network, the device and `machine()`.
    timings : seconds (s) measured now, by precision.
    """
    kept = _all()
    before = known(key)
    best = {name: min(seconds, before.get(name, seconds)) for name, seconds in timings.items()}
    if best != {name: before.get(name) for name in best}:
        with suppress(OSError):  # a cache that cannot be written costs a little time at the next start
            path = timings_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {**kept, key: {**before, **best}})
    return best


def _all() -> dict[str, dict[str, float]]:
    try:
        found = json.loads(timings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(key): {str(name): float(s) for name, s in row.items() if isinstance(s, (int, float))}
        for key, row in found.items()
        if isinstance(row, dict)
    }
