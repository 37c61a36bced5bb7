"""Long lists of which only what is small stays in memory: an element is made when it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """Elements that are made when they are asked for, each time anew.

    Parameters
    ----------
    make : returns the element of a number.
    numbers : of the elements, in order.
    """

    def __init__(self, make: Callable[[int], T], numbers: Sequence[int]) -> None:
        self._make, self._numbers = make, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> LazySequence[T]: ...

    def __getitem__(self, at: int | slice) -> T | LazySequence[T]:
        if isinstance(at, slice):
            return LazySequence(self._make, self._numbers[at])
        return self._make(self._numbers[at])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._numbers)

    def chosen(self, wanted: Iterable[bool]) -> LazySequence[T]:
        """Return the elements that are wanted, in order.

        Parameters
        ----------
        wanted : for each element.
        """
        pairs = zip(self._numbers, wanted, strict=True)
        return LazySequence(self._make, array("q", (number for number, yes in pairs if yes)))
