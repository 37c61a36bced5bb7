"""Shared fixtures: a viewer, a fixture that fails on leaks, and where the shared data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Folder of the licensed real data; tests that ask for it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}: it is not part of the repository")
    return SHARED
