"""Cells whose masks changed and that were not measured again yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Touched:
    """Changes of masks that were not measured yet.

    Attributes
    ----------
    ids : label values of the cells that changed.
    everywhere : whether any cell may have changed.
    """

    ids: set[int] = field(default_factory=set)
    everywhere: bool = False

    def add(self, ids: Iterable[int] | None, everywhere: bool = False) -> None:
        """Take note of one more change."""
        self.everywhere |= everywhere or ids is None
        self.ids.update(int(i) for i in ids or () if i)

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.ids)
