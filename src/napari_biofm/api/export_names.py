"""Names of exported files: such that every disk takes, no two alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNSAFE = re.compile(r"[^\w.-]+")


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return names that every disk takes, no two alike whatever their case: the second `cells` is `cells_2`.

    Parameters
    ----------
    names : as a user gave them.
    """
    taken: set[str] = set()
    found = []
    for name in map(safe_name, names):
        number, one = 1, name
        while one.casefold() in taken:
            number += 1
            one = f"{name}_{number}"
        taken.add(one.casefold())
        found.append(one)
    return found


def safe_name(name: str) -> str:
    """Return a name of letters that every disk takes.

    Parameters
    ----------
    name : as a user gave it.
    """
    return _UNSAFE.sub("_", name).strip("._") or "unnamed"
