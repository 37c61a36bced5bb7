"""Results that are there already: never replaced unasked, never shared by two images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import note
from napari_biofm.files import write_json
from napari_biofm.images.io.masks import write_mask
from napari_biofm.images.io.names import REPORT, image_id, result_names, stem_of
from napari_biofm.locks import locked
from napari_biofm.types import ImageError, Labels


def add_replacing(parser: argparse.ArgumentParser) -> None:
    """Add what decides about results that exist."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--force", action="store_true", help="replace results that exist")
    either.add_argument("--resume", action="store_true", help="keep results that exist and make the others")


def kept(path: Path, *, force: bool, resume: bool) -> bool:
    """Return whether a result stays as it is; say so.

    Raises
    ------
    ImageError
        If it exists, and neither `force` nor `resume` was given.
    """
    if force or not path.exists():
        return False
    if not resume:
        raise ImageError(f"{path} exists; give --force to replace it, --resume to keep it, or another --out.")
    note(f"{path} exists and was kept")
    return True


class MaskResults:
    """The masks of one call of `segment`: what they are called, and which are there.

    Parameters
    ----------
    folder : of the results. paths : images.

    Raises
    ------
    ImageError
        If two images would share a result.
    """

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self._folder, self._paths = folder, list(dict.fromkeys(paths))
        self._former = _rows_of(folder / REPORT)
        taken = {str(row["mask"]).removesuffix("_mask.tif"): str(row["image"]) for row in self._former}
        self._names = result_names(self._paths, taken)

    def file_of(self, path: Path) -> Path:
        """Return where the masks of an image go."""
        return self._folder / f"{self._names[path]}_mask.tif"

    def still_to_do(self, *, force: bool, resume: bool) -> list[Path]:
        """Return the images to work on; those whose masks are kept are named on stderr.

        Raises
        ------
        ImageError
            If masks exist and nobody said what to do with them, or they are of another image of the same name.
        """
        there = [path for path in self._paths if self.file_of(path).exists()]
        if force or not there:
            return self._paths
        if not resume:
            more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
            raise ImageError(
                f"{self.file_of(there[0])}{more} exists; give --force to replace, --resume to make what is missing, "
                "or another --out."
            )
        for path in there:
            row = next((row for row in self._former if row["image"] == image_id(path)), {})
            source = Path(str(row.get("source", path)))
            if source.exists() and not source.samefile(path):
                raise ImageError(
                    f"{self.file_of(path)} holds the masks of {source}, not of {path}; give another --out."
                )
            made = f", made by {row['model']}" if "model" in row else ""
            note(f"{image_id(path)}: {self.file_of(path).name} exists and was kept{made}")
        return [path for path in self._paths if path not in there]

    def row(self, path: Path) -> dict[str, str]:
        """Return what the report says of whose masks a file holds."""
        return {"image": image_id(path), "mask": self.file_of(path).name, "source": str(path.resolve())}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs from writing into the folder for a moment."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / ".report.lock"):
            yield

    def write(self, path: Path, masks: Labels, *, force: bool) -> None:
        """Write the masks of an image.

        Raises
        ------
        ImageError
            If another run wrote a file of this name meanwhile, and `force` was not given.
        """
        with self.alone():
            if self.file_of(path).exists() and not force:
                raise ImageError(f"{self.file_of(path)} was written by another run meanwhile; it was kept.")
            write_mask(self.file_of(path), masks)

    def write_report(self, report: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        """Write the report; rows of masks in the folder that this call did not make come first."""
        with self.alone():
            made = {row["mask"] for row in rows}
            former = [
                row
                for row in _rows_of(self._folder / REPORT)
                if row["mask"] not in made and (self._folder / row["mask"]).exists()
            ]
            write_json(self._folder / REPORT, {**report, "images": [*former, *rows]})


def _rows_of(report: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(report.read_text(encoding="utf-8"))["images"]
        return [row for row in rows if isinstance(row["image"], str) and isinstance(row["mask"], str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def click_files(image: Path, folder: Path) -> tuple[str, str]:
    """Return what the results of `click` on an image are called: their stem, and the archive of masks.

    The first image of a folder has `clicks.npz`; others have `<stem>_clicks.npz`, so that none replaces it.
    """
    stem = stem_of(image)
    own = f"{stem}_clicks.npz"
    owners = [
        path.name.removesuffix("_clicks.tif")
        for path in sorted(folder.glob("*_clicks.tif"))
        if not (folder / path.name.replace("_clicks.tif", "_clicks.npz")).exists()
    ]
    free = not (folder / "clicks.npz").exists()
    if not (folder / own).exists() and (owners == [stem] or (free and not owners)):
        return stem, "clicks.npz"
    return stem, own
