"""Recipes of what was done in a viewer: what a session noted of its results, as steps that run again without a window.

Results are read, not clicks: what was undone is not part of a recipe, and what no step can repeat (masks corrected by
hand, layers that no file holds) is written beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.api.images import describe_image
from napari_biofm.api.signals import read_recording
from napari_biofm.batch.draft import Draft, Write
from napari_biofm.controllers.common.layer_pixels import SHOWN
from napari_biofm.controllers.common.layers import full_data, layer_by_id
from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.images.io.masks import write_mask
from napari_biofm.images.io.projections import PROJECTIONS as PICTURES
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.signals.curation import rejected_labels
from napari_biofm.signals.export import write_nwb
from napari_biofm.types import BiofmError, SegmentationParameters

PROJECTIONS: Mapping[str, str] = {picture: name for name, picture in PICTURES.items()}
STACKED = "stitch"  # how planes of a stack become objects where nothing else is said
MOST_COMPARED = 1 << 28  # bytes of an image up to which layer and file are compared pixel by pixel
NOTED = 64  # channels that a session notes of a detection


# ------------------------------------------------------------------ images


def pixels_of_layer(layer: Any) -> tuple[Path | None, int | None, dict[str, Write]]:
    """Return the file that holds the pixels of a layer, its channel there, and what writes them where none does.

    Parameters
    ----------
    layer : Image layer.
    """
    data = full_data(layer)
    path = layer.metadata.get("path") or getattr(layer.source, "path", None)
    if path and Path(path).exists():
        try:
            opened = describe_image(path).pixels
        except BiofmError:
            opened = np.zeros(0)
        if _equal(opened, data):
            return Path(path), None, {}
        if opened.ndim == data.ndim + 1 and tuple(opened.shape[:-1]) == tuple(data.shape):
            for channel in range(opened.shape[-1]):
                if _equal(opened[..., channel], data):
                    return Path(path), channel, {}
    axes = ("TZ"[-max(data.ndim - 2 - int(layer.rgb), 0) :] if data.ndim > 2 + int(layer.rgb) else "") + "YX"
    axes += "S" if layer.rgb else ""
    return None, None, {f"images/{_plain(layer.name)}.tif": lambda target: _write_image(target, data, axes)}


def _equal(opened: Any, data: Any) -> bool:
    if tuple(opened.shape) != tuple(data.shape) or opened.dtype != data.dtype:
        return False
    if int(np.prod(data.shape, dtype=np.int64)) * data.dtype.itemsize > MOST_COMPARED:
        return True
    return bool(np.array_equal(np.asarray(opened[...]), np.asarray(data), equal_nan=data.dtype.kind == "f"))


def _write_image(target: Path, data: Any, axes: str) -> None:
    import tifffile

    photometric = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(target, np.asarray(data), metadata={"axes": axes}, photometric=photometric)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_ " else "_" for c in str(name)).strip() or "image"


def segmentation_steps(viewer: Any, session: Session, labels: str) -> Draft:
    """Return how the masks of a layer came about: a step where one repeats them, else the masks themselves.

    Parameters
    ----------
    viewer : whose layers they are.
    session : knows how they were made.
    labels : id of the Labels layer.
    """
    layer, found = layer_by_id(viewer, labels), session.segmentation(labels)
    made = dict(found.provenance) if found is not None else {}
    source = made.get("made_from", {})
    image = layer_by_id(viewer, source.get("layer")) or layer_by_id(viewer, session.image)
    if layer is None or image is None:
        return Draft()
    path, channel, beside = pixels_of_layer(image)
    images = () if path is None else (path,)
    masks = np.asarray(full_data(layer))
    step = _segment_step(made, source, channel)
    if step is not None and found is not None and np.array_equal(masks, found.masks):
        return Draft(images=images, steps=(("segment", step),), beside=beside)
    name = next(iter(beside), "") if path is None else path.name
    stem = Path(name).name.removesuffix(".tif") if path is None else Path(name).name
    why = "were made or corrected by hand" if found is not None else "were not made here"
    return Draft(
        images=images,
        beside={**beside, f"masks/{stem}_mask.tif": lambda target: write_mask(target, masks)},
        notes=(f"the masks of {layer.name} {why}; they lie beside the recipe and are not made again.",),
    )


def _segment_step(
    made: Mapping[str, Any], source: Mapping[str, Any], channel: int | None
) -> dict[str, Any] | None:
    """Return the parameters of the step that repeats a segmentation; None where none does."""
    stack, what, at = made.get("stack"), source.get("pixels"), list(source.get("step", ()))
    if made.get("remasked") or made.get("channels") or not source or len(at) > 1:
        return None
    if stack is not None and dict(stack).get("mode") != STACKED:
        return None
    known = SegmentationParameters.__dataclass_fields__
    noted = dict(made.get("parameters", {})).items()
    step = {k: list(v) if isinstance(v, tuple) else v for k, v in noted if k in known and v is not None}
    step["model"] = str(made.get("choice") or made.get("model"))
    if channel is not None:
        step["channel"] = channel
    if what in PROJECTIONS:
        step["projection"] = PROJECTIONS[str(what)]
    elif what == SHOWN and at:
        step["projection"] = int(at[0])
    return step


def made_from(layer: Any, pixels: str, step: Sequence[int]) -> dict[str, Any]:
    """Return what a session notes of the pixels that were segmented.

    Parameters
    ----------
    layer : Image layer.
    pixels : word of the form.
    step : index of the shown plane along the leading axes.
    """
    return {"layer": str(layer.unique_id), "pixels": pixels, "step": [int(i) for i in step]}


# ------------------------------------------------------------------ cells


def measure_steps(
    base: Draft,
    on: Sequence[tuple[Any, tuple[int, ...]]],
    pixel_size: Sequence[float] | None,
    names: Sequence[str],
) -> Draft:
    """Return a recipe that measures cells as well.

    Parameters
    ----------
    base : how the masks came about.
    on : Image layers that they were measured on, each with the index of its plane.
    pixel_size : micrometres along the axes of the masks, None where nobody knows.
    names : of the channels, in order.
    """
    step: dict[str, Any] = {"channels": list(names)}
    if pixel_size is not None:
        step["pixel_size_um"] = [float(size) for size in pixel_size]
    if len(on) != 1 or len(on[0][1]) > 1 or not (base.images or base.beside):
        return dataclasses.replace(
            base, notes=(*base.notes, "cells were measured on several layers, which no step repeats.")
        )
    layer, plane = on[0]
    path, channel, _ = pixels_of_layer(layer)
    if channel is not None or (path is not None and path not in base.images):
        return dataclasses.replace(
            base,
            notes=(*base.notes, f"cells were measured on {layer.name}, another image than was segmented."),
        )
    if plane:
        step["plane"] = int(plane[0])
    return dataclasses.replace(base, steps=(*base.steps, ("measure", step)))


def classify_steps(
    base: Draft, embeddings: Mapping[str, Any], min_probability: float, save: Callable[[Path], Any]
) -> Draft:
    """Return a recipe that predicts classes as well, with a classifier that lies beside it.

    Parameters
    ----------
    base : measures the cells.
    embeddings : that the classifier takes, each with the plane of the image it was made of, None where there is one plane.
    min_probability : below it a cell is "unknown".
    save : writes the classifier into a folder.
    """
    planes = set(embeddings.values())
    if len(planes) > 1:
        said = "the classifier is left out: its vectors are of different planes of the movie."
        return dataclasses.replace(base, notes=(*base.notes, said))
    step = {"head": "classifier", "min_probability": float(min_probability), "plane": planes.pop()}
    return dataclasses.replace(
        base, steps=(*base.steps, ("classify", step)), beside={**base.beside, "classifier": save}
    )


# ------------------------------------------------------------------ recordings


def events_steps(
    session: Session, uid: str, base: Draft | None = None, save_taught: Callable[[Path], Any] | None = None
) -> Draft:
    """Return how the events of a recording were found, and the numbers that describe it.

    Parameters
    ----------
    session : holds it.
    uid : of the recording.
    base : measures the traces of a movie, where the recording is that; None for recordings of files.
    save_taught : writes what physio-FM was taught; None for the stock model.
    """
    recording, made = session.recordings[uid].recording, dict(session.event_table(uid).provenance)
    if "detector" not in made:
        return base or Draft()
    step: dict[str, Any] = {k: made[k] for k in ("detector", "kind", "preset") if k in made}
    if made.get("options"):
        step["options"] = dict(made["options"])
    channels = list(made.get("channels", ()))
    if channels == signal_channels(recording, rejected=True)[:NOTED]:
        step |= {"rejected": True} if len(rejected_labels(recording)) else {}
    else:
        step["channel"] = channels
    done = recording.metadata.get("processing")
    if done:
        step["filters"] = {k: v for k, v in dict(done).items() if v is not None}
    beside: dict[str, Write] = {}
    notes: list[str] = []
    if made.get("taught"):
        if save_taught is None or made["detector"] != DEFAULT_DETECTOR:
            return Draft(notes=("the detector that was taught is not in use any more.",))
        step["head"] = "taught.safetensors"
        beside["taught.safetensors"] = save_taught
    by_hand = sum(int(n) for n in dict(made.get("by_hand", {})).values())
    if by_hand:
        notes.append(f"{by_hand} edits by hand of the events of {recording.name} are not repeated.")
    if base is not None:
        return dataclasses.replace(
            base, steps=(*base.steps, ("events", step)), beside={**base.beside, **beside},
            notes=(*base.notes, *notes),
        )  # fmt: skip
    path, entries, more = _file_of(recording, bool(done))
    recordings = () if path is None else (path,)
    return Draft((), recordings, (("events", step),), entries, {**beside, **more}, tuple(notes))


def _file_of(recording: Recording, is_filtered: bool) -> tuple[Path | None, dict[str, Any], dict[str, Write]]:
    """Return the file of a recording and what is told when it is read; or what writes it."""
    if recording.path is not None and Path(recording.path).exists():
        try:
            again = read_recording(recording.path)
        except BiofmError:
            again = None
        if (
            again is not None
            and again.n_channels == recording.n_channels
            and again.n_sweeps == recording.n_sweeps
        ):
            units = [
                f"{i}={now.unit}"
                for i, (now, then) in enumerate(zip(recording.channels, again.channels, strict=True))
                if now.unit != then.unit
            ]
            same = is_filtered or units or _same_samples(recording, again)
            if same:
                return Path(recording.path), {"unit": ",".join(units)} if units else {}, {}
    name = f"recordings/{_plain(Path(recording.name).stem)}.nwb"
    return None, {}, {name: lambda target: write_nwb(target, recording)}


def _same_samples(one: Recording, other: Recording) -> bool:
    """Tell whether the first sweep of two recordings is the same; files do not change in one sweep alone."""
    return all(
        np.array_equal(one.values(0, c), other.values(0, c), equal_nan=True) for c in range(one.n_channels)
    )


def traces_steps(base: Draft, recording: Recording, rate: float, part: str = "") -> Draft:
    """Return a recipe that measures the traces of a movie's cells as they were measured.

    Parameters
    ----------
    base : how the masks came about, on the movie.
    recording : the traces.
    rate : frames per second.
    part : channel or plane of the movie.
    """
    settings = dict(recording.metadata.get("settings", {}))
    names = ("neuropil_factor", "neuropil", "bad_frames", "dark_level", "correct_bleaching", "values")
    step: dict[str, Any] = {k: settings[k] for k in names if settings.get(k) is not None}
    step["frame_rate"] = float(rate)
    if part:
        step["channel"] = int(part)
    return dataclasses.replace(base, steps=(*base.steps, ("traces", step)))
