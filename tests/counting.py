"""Count the work of a call instead of its seconds, which depend on the machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TooMuchWorkError(AssertionError):
    """A call took more steps than it may."""


@contextmanager
def at_most(calls: int) -> Iterator[None]:
    """Stop what is inside at more than `calls` calls of functions, those of compiled code included.

    A loop over samples, bytes or a count that a damaged file gives calls something in every round; work on
    whole arrays does not.
    """
    left = calls

    def count(_frame: FrameType, event: str, _about: Any) -> None:
        nonlocal left
        if event in ("call", "c_call"):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise TooMuchWorkError(f"more than {calls} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
