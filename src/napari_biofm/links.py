"""Which recorded channel belongs to which cell."""

from __future__ import annotations

from dataclasses import dataclass

from napari_biofm.selection import CellKey


@dataclass(frozen=True, order=True)
class Link:
    """A recorded channel belongs to a cell.

    Attributes
    ----------
    recording : id of the recording in the session.
    channel : counted from 0.
    cell : the cell.
    """

    recording: str
    channel: int
    cell: CellKey
