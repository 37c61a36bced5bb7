"""Short work off the GUI thread, of which only the newest matters: refitting at each click."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]
Post = Callable[[Callable[[], None]], None]


class Latest:
    """One thread at most; work asked for while it is busy replaces what waits.

    Parameters
    ----------
    post : calls a function on the thread of the window. None does the work at once on this thread, for tests and
        scripts.
    """

    def __init__(self, post: Post | None) -> None:
        self._post = post
        self._lock = threading.Lock()
        self._waiting: tuple[Work, Callable[[Any], None], Callable[[Exception], None]] | None = None
        self._busy = False
        self._closed = False

    def submit(
        self, work: Work, on_done: Callable[[Any], None], on_error: Callable[[Exception], None]
    ) -> None:
        """Run `work`; the listeners are called on the GUI thread, unless newer work came in between."""
        if self._closed:
            return
        if self._post is None:
            self._once((work, on_done, on_error), lambda call: call())
            return
        with self._lock:
            self._waiting = (work, on_done, on_error)
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, args=(self._post,), name="biofm-refit", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        return self._busy

    def close(self) -> None:
        """Drop what waits; nothing is heard any more."""
        self._closed = True
        with self._lock:
            self._waiting = None

    def _run(self, post: Post) -> None:
        while True:
            with self._lock:
                todo, self._waiting = self._waiting, None
                if todo is None:
                    self._busy = False
                    return
            self._once(todo, post)

    def _once(self, todo: Any, post: Post) -> None:
        work, on_done, on_error = todo
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - whatever went wrong on the thread is told in the window
            self._tell(post, on_error, error)
        else:
            self._tell(post, on_done, result)

    def _tell(self, post: Post, listener: Callable[[Any], None], what: Any) -> None:
        def tell() -> None:
            if not self._closed:
                listener(what)

        post(tell)
