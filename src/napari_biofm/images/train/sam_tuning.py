"""Teaching Segment Anything with corrected masks, as a job: its image encoder stays as it is, the mask decoder learns.

Each image goes through the encoder once, and what it gives is kept on disk; the decoder is small enough to be taught
without a graphics card. The score is taken as a user would: clicks and boxes on cells of images that are kept back,
answered by the model as the program runs it.

Kirillov et al., Segment Anything, ICCV 2023; Archit et al., Segment Anything for Microscopy, Nature Methods 2025.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.images.prompt import sam_api
from napari_biofm.images.prompt.mobile_sam import MobileSAM
from napari_biofm.images.prompt.prepared_store import prepare_kept
from napari_biofm.images.prompt.sam import SAM, Prepared
from napari_biofm.images.train.examples import (
    Example,
    check_examples,
    cut_single,
    hold_back,
    share_origin,
    verdict_of,
)
from napari_biofm.images.train.sam_prompts import Click, box_of, first_click, next_click, overlap
from napari_biofm.images.train.sam_settings import SamSettings
from napari_biofm.images.train.sam_training import lessons_of, train_decoder
from napari_biofm.models import device as devices
from napari_biofm.models import store
from napari_biofm.models.checkpoints import Checkpoint, open_checkpoint
from napari_biofm.types import EngineError, ModelError, Progress, Prompt, Task, relay

FAMILIES = {"sam": SAM, "mobile-sam": MobileSAM}
MEASURES = ("iou_1_click", "iou_3_clicks", "iou_box")
_MOST_SCORED = 60  # cells of an image


@dataclass(frozen=True)
class SamTuned:
    """The taught model: its name, its file, and the report that lies beside it."""

    name: str
    path: Path
    report: dict[str, Any]

    def describe(self) -> str:
        """Return one sentence for a person."""
        before, after = self.report["before"], self.report["after"]
        numbers = ", ".join(
            f"{what} {before[key]:.2f} before, {after[key]:.2f} after"
            for what, key in zip(("one click", "three clicks", "a box"), MEASURES, strict=True)
        )
        better = sum(after[key] - before[key] for key in MEASURES) > 0
        return (
            f"{self.name}: mean IoU of {after['cells']} cells of {len(self.report['held_back'])} held-back image(s), "
            f"{numbers}: {verdict_of(better, self.report['same_image'])}."
        )


def tune_sam_job(
    examples: Sequence[Example],
    name: str,
    base: str = "sam_vit_b",
    settings: SamSettings | None = None,
    device: str = "auto",
    folder: Path | str | None = None,
) -> Task[SamTuned]:
    """Teach a copy of a Segment Anything model and keep it as the user's own model `name`.

    Parameters
    ----------
    examples : images with their cells outlined; some may be marked as kept back.
    name : what to call the new model.
    base : registered or own weights of Segment Anything, micro-sam or MobileSAM, or a file.
    settings : how to teach.
    device : "auto", "cpu", "cuda" or "mps".
    folder : of models.

    Raises
    ------
    ModelError
        When the name is taken, or the base is not here or of another family.
    ImageError
        When the examples cannot be used.
    EngineError
        When there is not enough memory.
    """
    settings = settings or SamSettings()
    if min(settings.epochs, settings.patience, settings.batch, settings.prompts) < 1:
        raise ModelError("epochs, patience, batch and prompts have to be 1 or more each")
    store.refuse_taken_name(name, folder)
    checked = check_examples(examples)
    pixels = [replace(c, image=e.image) for c, e in zip(checked, examples, strict=True)]  # as clicks see them
    pairs = cut_single(hold_back(pixels, settings.fraction))
    held, taught = ([p for p in pairs if p.held_back is side] for side in (True, False))
    if not taught or not held:
        raise ModelError("all examples are on one side; learn from some and keep at least one back")
    weights = store.resolve(base, folder)
    family = weights.family or open_checkpoint(weights.path).family
    if family not in FAMILIES:
        raise ModelError(
            f"{base} holds {family} weights; this teaches Segment Anything: {', '.join(FAMILIES)}"
        )

    model = FAMILIES[family](weights.path, device, name=weights.name)
    prepared = yield from _prepared(model, pairs)
    before = yield from score_prompts(model, held, prepared, "before", settings.seed)
    del model
    lessons = [s for p in taught for s in lessons_of(prepared[id(p)], p.masks)]
    if not lessons:
        raise ModelError("no cell of the examples is large enough, or lies wholly in a tile of 1024 pixels")
    checkpoint = open_checkpoint(weights.path, family)
    parts = sam_api.build_decoder(checkpoint, lessons[0].features.shape[-1])
    try:
        trained = yield from train_decoder(parts, lessons, settings, devices.pick_device(device))
    except (RuntimeError, MemoryError) as error:
        if not devices.is_out_of_memory(error):
            raise
        raise EngineError(
            "not enough memory to teach this model; give a smaller batch, or cpu as device"
        ) from error
    with tempfile.TemporaryDirectory() as work:
        made = Path(work) / "sam.safetensors"
        _write(made, checkpoint, parts)
        after = yield from score_prompts(
            FAMILIES[family](made, device, name=name), held, prepared, "after", settings.seed
        )
        report = {
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "base": weights.name,
            "base_sha256": weights.sha256,
            "licence": weights.entry.licence
            if weights.entry
            else weights.about.get("licence", "not known here"),
            "trained": [
                key for key, part in parts.items() if any(p.requires_grad for p in part.parameters())
            ],
            "before": before,
            "after": after,
            "learnt_from": [pair.name for pair in taught],
            "cells": sum(len(lesson.cells) for lesson in lessons),
            "held_back": [pair.name for pair in held],
            "same_image": share_origin(pairs),
            "settings": asdict(settings),
            "loss": list(trained.loss),
            "watched_iou": list(trained.watched),
            "best_epoch": trained.best_epoch,
        }
        own = store.import_model(made, name, folder, report)
    return SamTuned(name, own.path, report)


def score_prompts(
    model: SAM, examples: Sequence[Example], prepared: dict[int, Prepared], when: str, seed: int = 0
) -> Task[dict[str, float]]:
    """Return the mean IoU of a model's masks over cells: after one click, after three, and for a box.

    Parameters
    ----------
    model : answers the prompts.
    examples : images with masks; of each, 60 cells at most are asked about.
    prepared : of the images, by the identity of their example.
    when : for messages.
    seed : draws the cells.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, float, float]] = []
    for number, example in enumerate(examples, 1):
        labels = np.unique(example.masks[example.masks > 0])
        chosen = np.sort(rng.permutation(labels)[:_MOST_SCORED]).tolist()
        for done, label in enumerate(chosen):
            told = f"score {when}: image {number} of {len(examples)}"
            yield Progress((number - 1) * len(chosen) + done, len(examples) * len(chosen), told)
            rows.append(_overlaps(model, prepared[id(example)], example.masks == label))
    means = np.mean(rows, axis=0).tolist()
    return {**dict(zip(MEASURES, means, strict=True)), "cells": len(rows)}


def _overlaps(
    model: SAM, prepared: Prepared, mask: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[float, float, float]:
    """Return the IoU with a cell after one click, three clicks, and a box."""
    clicks = [first_click(mask)]
    found = [model.predict(prepared, _prompt(clicks))[0][0]]
    for _ in range(2):
        clicks.append(next_click(mask, found[-1]))
        found.append(model.predict(prepared, _prompt(clicks))[0][0])
    boxed = model.predict(prepared, Prompt(np.zeros((0, 2)), np.zeros(0, bool), box_of(mask)))[0][0]
    return overlap(mask, found[0]), overlap(mask, found[-1]), overlap(mask, boxed)


def _prompt(clicks: list[Click]) -> Prompt:
    return Prompt(np.array([(c.y, c.x) for c in clicks]), np.array([c.positive for c in clicks]))


def _prepared(model: SAM, examples: Sequence[Example]) -> Task[dict[int, Prepared]]:
    """Run the encoder on every image, or read what was kept of it."""
    found = {}
    for number, example in enumerate(examples, 1):
        told = f"encoding image {number} of {len(examples)}"
        yield Progress(number - 1, len(examples), told)
        found[id(example)] = yield from relay(
            prepare_kept(model, example.image), number - 1, len(examples), told
        )
    return found


def _write(path: Path, checkpoint: Checkpoint, parts: Any) -> None:
    """Write the checkpoint with the tensors that were trained in place of its own."""
    from safetensors.torch import save_file

    learnt = {key: value.detach().float().cpu() for key, value in parts.state_dict().items()}
    state = {**checkpoint.state, **learnt}
    save_file({key: value.clone().contiguous() for key, value in state.items()}, path)
