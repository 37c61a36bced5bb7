"""How much memory a process took."""

from __future__ import annotations

import sys


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, MB."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
