"""What came of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BatchResult:
    """What came of a run.

    Attributes
    ----------
    out : folder of the results.
    rows : of the manifest, one per item, by key; read from it when they are asked for, so that they are not all in memory.
    tables : number of rows of each joint table.
    kept : number of items whose results were there from a former run.
    seconds : from start to end, without what was kept.
    where : on what it ran.
    notes : what steps on the tables left out or could not tell.
    problems : why steps on the tables failed; one failing leaves the others as they are.
    """

    out: Path
    rows: Sequence[dict[str, Any]]
    tables: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    seconds: float = 0.0
    where: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Rows of items that failed."""
        return [row for row in self.rows if row["state"] == "failed"]
