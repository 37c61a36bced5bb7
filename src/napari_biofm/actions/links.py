"""Which recorded channel belongs to which cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.types import SessionError


@dataclass(frozen=True)
class EditLinks:
    """Links that are made and links that are cut, in one step.

    Attributes
    ----------
    name : what the user did.
    added, removed : sorted.
    """

    kind: ClassVar[str] = "edit links"
    name: str
    added: tuple[Link, ...] = ()
    removed: tuple[Link, ...] = ()

    @property
    def nbytes(self) -> int:
        return 200 * (len(self.added) + len(self.removed))

    def apply(self, state: SessionState) -> None:
        now = state.links
        if not now.issuperset(self.removed) or now.intersection(self.added):
            raise SessionError("the links are no longer those it was made on.")
        state.put_links((now - set(self.removed)) | set(self.added))

    def inverse(self) -> EditLinks:
        return EditLinks(undone(self.name), self.removed, self.added)

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "added": [link_to_json(link) for link in self.added],
            "removed": [link_to_json(link) for link in self.removed],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        return cls(
            str(record["action"]), links_from_json(record["added"]), links_from_json(record["removed"])
        )


def link_to_json(link: Link) -> list[Any]:
    """Return a link for the log: recording, channel, layer, label."""
    return [link.recording, link.channel, link.cell.layer, link.cell.label]


def links_from_json(rows: Iterable[Any]) -> tuple[Link, ...]:
    """Return the links that `link_to_json` described."""
    return tuple(Link(str(r), int(c), CellKey(str(layer), int(label))) for r, c, layer, label in rows)
