"""Licensed sets and synthetic scenes -> cached pictures with flows, split by group.

A picture keeps its planes (see `napari_biofm.images.segment.embedded.input_planes`), labels, ideal flows and the
diameter of every
object. Whatever shares a group (mosaic, well, field, movie) or is a duplicate falls on one side of the split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from skimage.segmentation import relabel_sequential

from napari_biofm.images.segment.embedded.input_planes import to_planes
from napari_biofm.images.segment.ideal_flows import flows_from_masks
from training.image.synthetic import scene

SETS = ("dsb2018", "bbbc039", "usiigaci_phc", "omnipose_silver", "yeastvision_silver")
STATES = ("state_mitocheck", "state_jurkat_cc", "state_bccd")


@dataclass
class Picture:
    """One training picture at the resolution it is cached at.

    Attributes
    ----------
    planes : (P, Y, X) float16, P is 1 (grey) or 3.
    labels : (Y, X) int32. flow : (2, Y, X) int8, unit vectors times 127.
    diameters : (n + 1,) float32, equivalent diameter of every label in cached pixels.
    diameter : median of them. kind : modality. stem, group, part : where it comes from, "train" or
    "validation".
    """

    planes: NDArray[np.float16]
    labels: NDArray[np.int32]
    flow: NDArray[np.int8]
    diameters: NDArray[np.float32]
    diameter: float
    kind: str
    stem: str
    group: str
    part: str


@dataclass
class States:
    """Single-cell crops with labels; `part` is "train" or "validation" per crop."""

    name: str
    crops: NDArray[Any]
    labels: NDArray[np.int64]
    classes: list[str]
    groups: NDArray[Any]
    part: NDArray[Any]


def index(data: Path, validation: float) -> pd.DataFrame:
    """List the pictures present, with `set`, `kind` and `part`; BBBC039 duplicates of DSB2018 fields are
    left out.
    """
    frames = []
    for name in SETS:
        frame = pd.read_csv(data / name / "index.csv", dtype={"dup_of": str, "group": str})
        frame = frame[[(data / name / f"{stem}_mask.tif").exists() for stem in frame.stem]].assign(set=name)
        if name == "bbbc039":
            frame = frame[frame.dup_of.isna() | (frame.dup_of.str.strip() == "")]
            frame["modality"] = "bbbc039"
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True).rename(columns={"modality": "kind"})
    table["group"] = table["group"].fillna(table["stem"])
    table["part"] = "train"
    for kind, rows in table.groupby("kind"):
        if str(kind).endswith("silver"):
            continue
        table.loc[rows.index, "part"] = _parts(rows["group"], validation)
    return table


def _parts(groups: Any, share: float) -> list[str]:
    """Give whole groups to the validation part, in the order of a hash of their name, until `share` is
    reached.
    """
    sizes = groups.value_counts()
    order = sorted(sizes.index, key=lambda g: hashlib.sha256(str(g).encode()).hexdigest())
    chosen, total = set(), 0
    for group in order:
        if total + sizes[group] <= share * len(groups) + 0.5:
            chosen.add(group)
            total += sizes[group]
    return ["validation" if group in chosen else "train" for group in groups]


def load_pair(data: Path, row: Any) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Read image and compact labels of one row of `index`."""
    folder = data / row.set
    image = tifffile.imread(folder / f"{row.stem}.tif")
    masks = tifffile.imread(folder / f"{row.stem}_mask.tif").astype(np.int64)
    return image, relabel_sequential(masks)[0].astype(np.int32)


def make_picture(
    image: Any, labels: Any, kind: str, stem: str, group: str, part: str, largest: float
) -> Picture:
    """Prepare one picture: planes, at most `largest` px diameter, flows."""
    planes = to_planes(image)
    if image.ndim == 2 or image.shape[2] == 1:
        planes = planes[:1]
    while median_diameter(labels) > largest:
        size = (labels.shape[1] // 2, labels.shape[0] // 2)
        planes = np.stack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes])
        labels = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
        labels = relabel_sequential(labels)[0].astype(np.int32)
    flow = np.round(flows_from_masks(labels) * 127).astype(np.int8)
    diameters = np.sqrt(np.bincount(labels.ravel()) * 4 / np.pi).astype(np.float32)
    return Picture(
        planes.astype(np.float16), labels, flow, diameters, median_diameter(labels), kind, stem, group, part
    )


def median_diameter(labels: Any) -> float:
    """Median equivalent diameter of labels in pixels; 22 without labels."""
    counts = np.bincount(labels.ravel())[1:]
    counts = counts[counts > 0]
    return float(np.median(np.sqrt(counts * 4 / np.pi))) if len(counts) else 22.0


def _cached(path: Path, make: Any) -> Picture:
    if path.exists():
        with np.load(path) as stored:
            planes, labels, flow, diameters = (stored[k] for k in ("planes", "labels", "flow", "diameters"))
            kind, stem, group, part = (str(stored[k]) for k in ("kind", "stem", "group", "part"))
            diameter = float(stored["diameter"])
            return Picture(planes, labels, flow, diameters, diameter, kind, stem, group, part)
    picture: Picture = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, **vars(picture))
    temporary.replace(path)
    return picture


def load_pictures(data: Path, cache: Path, settings: dict[str, Any], parts: tuple[str, ...]) -> list[Picture]:
    """Load (and on first use prepare) all real pictures of `parts`, and synthetic ones if "train" is among
    them.
    """
    pictures = []
    largest = float(settings["largest"])
    for row in index(data, settings["validation"]).itertuples():
        if row.part not in parts:
            continue

        def real(row: Any = row) -> Picture:
            return make_picture(*load_pair(data, row), row.kind, row.stem, row.group, row.part, largest)

        pictures.append(_cached(cache / row.set / f"{row.stem}.npz", real))
    if "train" in parts:
        for seed in range(int(settings["synthetic"])):

            def drawn(seed: int = seed) -> Picture:
                image, labels, _ = scene(seed)
                return make_picture(
                    image, labels, "synthetic", f"scene{seed}", f"scene{seed}", "train", largest
                )

            pictures.append(_cached(cache / "synthetic" / f"scene{seed}.npz", drawn))
    return [p for p in pictures if len(p.diameters) > 1]


def load_states(data: Path, validation: float = 0.2) -> list[States]:
    """Read the single-cell sets; whole groups (plates, pictures) are kept for validation, single cells if
    there is one group.
    """
    sets = []
    for name in STATES:
        table = pd.read_csv(data / name / "labels.csv", dtype={"group": str})
        crops = tifffile.imread(data / name / "crops.tif")[table.object_id.to_numpy()]
        groups = table["group"] if table["group"].nunique() > 1 else table["object_id"].astype(str)
        classes = sorted(table["label"].unique())
        labels = table["label"].map({c: i for i, c in enumerate(classes)}).to_numpy(np.int64)
        part = np.array(_parts(groups, validation))
        sets.append(States(name, crops, labels, classes, groups.to_numpy(), part))
    return sets


def by_kind(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Sort pictures by modality."""
    kinds: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        kinds[picture.kind].append(picture)
    return dict(kinds)
