"""The session of a viewer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_biofm.session.session import Session

if TYPE_CHECKING:
    from napari_biofm.engine import Engine

_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: object, engine_factory: Callable[[], Engine] | None = None) -> Session:
    """Return the session of a viewer, making it at the first call.

    napari hands each dock a fresh proxy of its viewer; the session hangs on the viewer behind it.

    Parameters
    ----------
    viewer : napari viewer, viewer model or a proxy of one; anything that can be weakly referenced.
    engine_factory : makes the engine when the first job is submitted; used at the first call only.
    """
    real = getattr(viewer, "__wrapped__", viewer)
    session = _SESSIONS.get(real)
    if session is None or session.is_closed:
        session = _SESSIONS[real] = Session(engine_factory=engine_factory)
    return session
