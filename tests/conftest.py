"""Shared fixtures: a viewer, checks for what a test leaves behind, and where the real data lies."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from napari_biofm.engine.threads import wait_asleep

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
wait_asleep()
with contextlib.suppress(ImportError):
    # torch loads it when an optimiser is made; after software OpenGL, which brings another LLVM, that ends the process.
    # Users are safe: networks live in the worker. Tests run them beside the viewer.
    import triton._C.libtriton  # noqa: F401
# The same examples in every run, few enough for every commit; a failure is found again by its name alone.
settings.register_profile(
    "napari-biofm", max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "napari-biofm"))
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests prepare away from the user's cache."""
    os.environ.setdefault("NAPARI_BIOFM_CACHE", str(tmp_path_factory.mktemp("passes")))


@pytest.fixture(autouse=True)
def what_viewers_leave_is_not_searched_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep the garbage collector from searching what earlier viewers left for good.

    napari keeps some thousand objects of every viewer (menus, actions), and closing a viewer collects several times:
    in a long run that came to seconds a test.
    """
    yield
    if "make_napari_viewer" in request.fixturenames:
        gc.collect()
        gc.freeze()


@pytest.fixture
def shared_data() -> Path:
    """Folder of the licensed real data; a test that asks for it is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}: it is not part of the repository")
    return SHARED


@pytest.fixture
def shared_cases() -> Path:
    """Folder of small simulated cases that went wrong once; a test that asks for it is skipped where it is absent."""
    cases = SHARED.with_name("cases")
    if not cases.is_dir():
        pytest.skip(f"no cases at {cases}: they are not part of the repository")
    return cases


@pytest.fixture
def no_leaks(qapp: Any) -> Iterator[None]:
    """Fail if a test leaves a top-level widget or a running timer of ours behind."""
    from qtpy.QtCore import QEvent, QTimer
    from qtpy.QtWidgets import QApplication

    def ours() -> set[str]:
        widgets = {
            type(w).__qualname__
            for w in QApplication.topLevelWidgets()
            if type(w).__module__.startswith("napari_biofm")
        }
        timers = {
            f"timer of {type(t.parent()).__qualname__}"
            for w in QApplication.topLevelWidgets()
            for t in w.findChildren(QTimer)
            if t.isActive() and type(t.parent()).__module__.startswith("napari_biofm")
        }
        return widgets | timers

    before = ours()
    yield
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    left = ours() - before
    assert not left, f"left behind: {', '.join(sorted(left))}"


@pytest.fixture
def viewer(no_leaks: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """A shown viewer that is closed and checked for leaks at the end."""
    return make_napari_viewer(show=True)


@pytest.fixture
def click(qtbot: Any) -> Callable[..., None]:
    """Press, drag and release on the canvas of a viewer, at positions given in world coordinates."""

    def press_and_release(viewer: Any, *points: Any, button: str = "left", modifiers: Any = ()) -> None:
        from tests.hand import drag

        drag(viewer, points, button=button, modifiers=modifiers)
        qtbot.wait(1)

    return press_and_release
