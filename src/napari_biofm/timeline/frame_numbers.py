"""Numbers of frames as a person types them."""

from __future__ import annotations

from napari_biofm.types import TimelineError


def parse_numbers(text: str) -> list[int]:
    """Return the numbers of a list such as "12,40-44".

    Raises
    ------
    TimelineError
        If it is no such list.
    """
    numbers: list[int] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, dash, last = part.partition("-")
        try:
            start, stop = int(first), int(last) if dash else int(first)
        except ValueError:
            raise TimelineError(f"'{part}' is no frame number; write a list such as 12,40-44.") from None
        if stop < start or stop - start > 10_000_000:
            raise TimelineError(f"'{part}' runs back or is too long; write a list such as 12,40-44.")
        numbers += range(start, stop + 1)
    return numbers
