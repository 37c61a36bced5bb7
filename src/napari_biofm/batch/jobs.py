"""What a worker gets for one item, and what the steps of the item hand on to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.batch.items import Item

if TYPE_CHECKING:
    from pandas import DataFrame

CORRECTED = (
    "corrected"  # folder of masks that were corrected by hand, `<key>.tif`, with what is known of them
)
ITEMS = "items"  # folder of one folder per item
TABLES = ("cells", "events", "features", "channels")  # of items, put together at the end
CONDITIONS = "conditions.parquet"  # of a run: a row per file and what is known of it
PIECE = ".arrow"  # ending of the tables of an item: Arrow files are read ten times as fast as Parquet of a few rows
OUTPUTS = (*TABLES, "wells", "hits", "activity", "fractions", "doses")  # of a run


@dataclass(frozen=True)
class Job:
    """All that a worker needs for one item.

    Attributes
    ----------
    item : the file.
    steps : (name, parameters) in order.
    out : folder of the run.
    fingerprint : of what decides the results.
    labels : "tiff", "zarr" or "none".
    thumbnail : whether a picture for the report is made.
    folder : of the recipe; paths in parameters start from it.
    sampling_rate, unit : of recordings that do not say.
    corrected : file of masks that were corrected by hand, which are taken instead of all others; None where there are none.
    """

    item: Item
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    out: Path
    fingerprint: str
    labels: str = "tiff"
    thumbnail: bool = False
    folder: Path = field(default_factory=Path)
    sampling_rate: float | None = None
    unit: str | None = None
    corrected: Path | None = None

    @property
    def results(self) -> Path:
        """Folder of the item's results."""
        return self.out / ITEMS / self.item.key


@dataclass
class Bench:
    """What the steps of an item hand on to each other."""

    job: Job
    folder: Path
    image: Any = None
    is_stack: bool = False
    channels: tuple[str, ...] = ()
    masks: Any = None
    cells: DataFrame | None = None
    recording: Any = None
    events: Any = None
    facts: dict[str, Any] = field(default_factory=dict)

    def path(self, text: str) -> Path:
        """Return a path of the recipe."""
        return Path(text) if Path(text).is_absolute() else self.job.folder / text
