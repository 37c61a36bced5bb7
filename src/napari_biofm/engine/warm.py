"""Objects that are dear to make, kept by the process that made them.

Jobs call `keep` for their models: the second job of the same kind finds its model loaded. The cache
belongs to the process a job runs in (worker of a lane, cluster node, or the caller for inline jobs). Threads may
call `keep` at once: one of them makes the model, the others wait for it. A model that makes room for another lives on
for as long as a running job uses it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")
LIMIT = 3  # models kept per process; the one used longest ago goes first
_KEPT: OrderedDict[Hashable, object] = OrderedDict()
_LOCK = threading.RLock()


def keep(key: Hashable, make: Callable[[], T]) -> T:
    """Return the object kept under `key`, made by `make()` where it is not there yet."""
    with _LOCK:
        if key not in _KEPT:
            made = make()
            _KEPT[key] = made
            while len(_KEPT) > LIMIT:
                _KEPT.popitem(last=False)
        _KEPT.move_to_end(key)
        return _KEPT[key]  # type: ignore[return-value]


def forget() -> None:
    """Let go of everything kept, e.g. to free a GPU."""
    with _LOCK:
        _KEPT.clear()
