"""What the tests of the engines share."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path

import pytest

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def blocks_left(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what lists the shared memory that this test made or opened and that is still there."""
    if not SHARED_MEMORY.is_dir():
        pytest.skip("shared memory is a folder on Linux only")
    names: set[str] = set()

    class Noted(shared_memory.SharedMemory):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]
            names.add(self.name.lstrip("/"))

    def left() -> list[str]:
        assert names, "no shared memory was used"
        return sorted(name for name in names if (SHARED_MEMORY / name).exists())

    monkeypatch.setattr(shared_memory, "SharedMemory", Noted)
    return left
