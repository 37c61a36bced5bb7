"""How threads of OpenMP wait for each other: asleep.

Their default is to spin. Where anything else runs on the machine, a thread that was put aside is then waited for by
others that burn its processor: detection on two busy cores took 92 s so, and 8 s asleep.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

QUIET: Mapping[str, str] = MappingProxyType({"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"})


def wait_asleep() -> None:
    """Set it for this process, where nobody has; it works before torch is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
