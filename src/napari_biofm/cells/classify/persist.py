"""Trained heads on disk: a folder with `head.safetensors` and `head.json`. Nothing in it is executed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cells.classify.heads import Head
from napari_biofm.cells.values.regression import RegressionHead
from napari_biofm.files import put_folder
from napari_biofm.types import CellsError, ModelError

ARRAYS, SETTINGS = "head.safetensors", "head.json"
FORMAT = 1


@dataclass
class SavedHead:
    """A head and what it was trained on.

    Attributes
    ----------
    head : trained; a classifier, or a `RegressionHead`.
    embeddings : names of the vectors it takes, side by side.
    encoders : for each embedding, its provenance: `name`, `weights_sha256`, `recipe`.
    details : anything else worth keeping, JSON-able (scores, colours, counts).
    """

    head: Head | RegressionHead
    embeddings: tuple[str, ...]
    encoders: dict[str, dict[str, Any]]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def classifier(self) -> Head:
        """The head, which names classes.

        Raises
        ------
        CellsError
            If it predicts values instead.
        """
        if isinstance(self.head, RegressionHead):
            raise CellsError(
                f"This head predicts values ({', '.join(self.head.targets[:5])}), not classes; load it under "
                "'Values'."
            )
        return self.head

    @property
    def regression(self) -> RegressionHead:
        """The head, which predicts values.

        Raises
        ------
        CellsError
            If it names classes instead.
        """
        if not isinstance(self.head, RegressionHead):
            raise CellsError(
                f"This head names classes ({', '.join(self.head.classes[:5])}), not values; load it under "
                "'Files'."
            )
        return self.head

    def match(self, encoders: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the names, among `encoders`, of the embeddings this head takes, in its order.

        An embedding is known by its provenance (encoder, weights, recipe), whatever it is called.

        Raises
        ------
        CellsError
            If an embedding is missing, comes from other weights, or was computed by another recipe.
        """
        found = []
        for embedding in self.embeddings:
            mine = _identity(self.encoders[embedding])
            name = next((name for name, one in encoders.items() if _identity(one) == mine), None)
            if name is None:
                raise CellsError(_why_not(embedding, mine, encoders))
            found.append(name)
        return found

    def missing(self, encoders: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the embeddings of this head that are not among `encoders`."""
        there = [_identity(one) for one in encoders.values()]
        return [
            embedding for embedding in self.embeddings if _identity(self.encoders[embedding]) not in there
        ]


def save_head(folder: Path | str, saved: SavedHead) -> Path:
    """Write a trained head into `folder`, as a whole or not at all, and return the folder."""
    from safetensors.numpy import save_file

    arrays, settings = saved.head.state()
    manifest = {
        "format": FORMAT,
        "kind": f"napari-biofm cell {'value' if isinstance(saved.head, RegressionHead) else 'state'} head",
        "head": saved.head.name,
        "settings": settings,
        "blocks": list(saved.embeddings),
        "encoders": saved.encoders,
        "details": saved.details,
    }
    with replacing(Path(folder)) as partial:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, partial / ARRAYS)
        (partial / SETTINGS).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return Path(folder)


def load_head(folder: Path | str) -> SavedHead:
    """Read a head.

    Raises
    ------
    CellsError
        If the folder holds none, or one that cannot be understood.
    """
    from napari_biofm.cells.classify.more_heads import HEADS
    from napari_biofm.models.checkpoints import read_arrays

    folder = Path(folder)
    missing = [name for name in (ARRAYS, SETTINGS) if not (folder / name).is_file()]
    if missing:
        raise CellsError(f"{folder} holds no trained head: {' and '.join(missing)} not found.")
    try:
        manifest = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        arrays = read_arrays(folder / ARRAYS)
        kinds: dict[str, type[Head] | type[RegressionHead]] = {**HEADS, RegressionHead.name: RegressionHead}
        if manifest["format"] > FORMAT or manifest["head"] not in kinds:
            raise CellsError(
                f"{folder} was written by a newer napari-biofm (format {manifest['format']}, head "
                f"'{manifest['head']}'). Update napari-biofm, or train the head again."
            )
        head = kinds[manifest["head"]].restore(arrays, manifest["settings"])
        return SavedHead(head, tuple(manifest["blocks"]), manifest["encoders"], manifest["details"])
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        ModelError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise CellsError(f"The head in {folder} is damaged ({error}); train and save it again.") from error


class replacing:  # noqa: N801 - reads as a verb: with replacing(folder) as partial
    """Fill a new folder beside `folder`; it takes its place when all went well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.partial = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}-", dir=self.folder.parent))
        return self.partial

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self.partial, ignore_errors=True)
            return
        put_folder(self.partial, self.folder)


RECIPES = {
    "crops": "of single-cell crops",
    "map": "pooled under masks from a map of the whole image",
    "masks": "measured on masks",
}


def _identity(provenance: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        str(provenance.get("name", "")),
        str(provenance.get("weights_sha256", "")),
        str(provenance.get("recipe", "")),
    )


def _words(identity: Sequence[str]) -> str:
    name, sha, recipe = identity
    said = f"'{name}'" + (f" (weights {sha[:12]})" if sha else "")
    return f"{said}, {RECIPES[recipe]}" if recipe in RECIPES else said


def _why_not(embedding: str, mine: Sequence[str], encoders: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what is closest to the embedding that is missing, and what to do."""
    same_name = [_identity(one) for one in encoders.values() if _identity(one)[0] == mine[0]]
    if not same_name:
        have = ", ".join(encoders) or "none"
        return (
            f"This head needs the vectors '{embedding}' ({_words(mine)}); there are: {have}. Compute '{embedding}' for "
            "these cells, or train a new head on what there is."
        )
    theirs = same_name[0]
    for one in same_name:
        if one[1] == mine[1]:
            theirs = one
    if theirs[1] == mine[1] and theirs[2] != mine[2]:
        return (
            f"This head was trained on vectors of {_words(mine)}, but these are of {_words(theirs)}: two "
            "descriptions that do not mix. Compute the vectors the way the head knows them, or train a new head."
        )
    return (
        f"This head was trained on '{embedding}' vectors of {_words(mine)}, but these come from "
        f"{_words(theirs)}. Compute the vectors with the encoder of the head, or train a new head."
    )
