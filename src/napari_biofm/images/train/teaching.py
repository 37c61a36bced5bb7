"""A user's own copy of the embedded model, taught by a larger model or by masks, as a job.

The score before and after is taken on images that are kept back: agreement with the teacher, or with the
masks. What is learnt is kept among the user's models, to be chosen by name everywhere.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_biofm.images.segment.embedded import weights
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.images.train import distillation
from napari_biofm.images.train.examples import Example, cut_single, hold_back, verdict_of
from napari_biofm.images.train.finetuning import score
from napari_biofm.models import store
from napari_biofm.types import ModelError, Segmenter, Task


@dataclass(frozen=True)
class TeachSettings:
    """How to teach.

    Attributes
    ----------
    steps : batches learnt from.
    batch : crops of 128 x 128 network pixels in each.
    learning_rate : of AdamW.
    fraction : of the images that is kept back for the score; at least one is.
    seed : of crops and batches.
    """

    steps: int = 300
    batch: int = 4
    learning_rate: float = 2e-4
    fraction: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class Taught:
    """The taught model: its name, its file, and the report that is kept with it."""

    name: str
    path: Path
    report: dict[str, Any]

    def describe(self) -> str:
        """Return one sentence for a person."""
        before, after = self.report["before"]["ap50"], self.report["after"]["ap50"]
        advice = "keep the model in the package, or give more images"
        verdict = verdict_of(after > before, word="closer", advice=advice)
        return (
            f"{self.name}: AP at IoU 0.5 against {self.report['teacher']} on "
            f"{len(self.report['held_back'])} held-back image(s) {before:.2f} before, {after:.2f} after, {verdict}."
        )


def teach_job(
    examples: Sequence[Example],
    name: str,
    teacher: Segmenter | None = None,
    settings: TeachSettings | None = None,
    student: Path | None = None,
    folder: Path | str | None = None,
) -> Task[Taught]:
    """Teach a copy of the embedded model and keep it as the user's own model `name`.

    Parameters
    ----------
    examples : images; their masks are what is learnt where there is no teacher.
    name : what to call the new model.
    teacher : a segmenter that makes the masks, None to take those of the examples.
    settings : how to teach.
    student : weights to begin with, None for those in the package.
    folder : of models.

    Raises
    ------
    ModelError
        When the name is taken, or the teacher finds no cells.
    ImageError
        When a single image cannot be divided into a part to learn from and a part to score on.
    """
    settings = settings or TeachSettings()
    if settings.steps < 1 or settings.batch < 1:
        raise ModelError(
            f"{settings.steps} steps of {settings.batch} crops were asked for; give at least 1 each"
        )
    store.refuse_taken_name(name, folder)
    source = "the masks given"
    if teacher is not None:
        source = teacher.name
        masks = yield from distillation.ask(teacher, [e.image for e in examples])
        examples = [replace(e, masks=m) for e, m in zip(examples, masks, strict=True)]
    with_cells = [e for e in examples if e.masks.any()]
    if not with_cells:
        raise ModelError(f"{source} found no cells in {len(examples)} images; there is nothing to learn from")
    pairs = cut_single(hold_back(with_cells, settings.fraction))
    held = [e for e in pairs if e.held_back]
    taught = [e for e in pairs if not e.held_back]
    before = yield from score(EmbeddedModel(student), held, "before")
    with tempfile.TemporaryDirectory() as work:
        made = yield from distillation.learn(
            [e.image for e in taught],
            [e.masks for e in taught],
            source,
            Path(work) / "image.safetensors",
            student,
            settings.steps,
            settings.batch,
            settings.learning_rate,
            settings.seed,
        )
        after = yield from score(EmbeddedModel(made), held, "after")
        report = {
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "teacher": source,
            "base_sha256": weights.read(student).sha256,
            "licence": "as the model in the package, its teacher and the images it was taught with",
            "before": before,
            "after": after,
            "learnt_from": [e.name for e in taught],
            "held_back": [e.name for e in held],
            "settings": asdict(settings),
        }
        own = store.import_model(made, name, folder, report)
    return Taught(name, own.path, report)


def teacher_named(name: str, device: str = "auto") -> Segmenter:
    """Return the model of this name or file.

    Raises
    ------
    ModelError
        When its weights are not here, or it gives no masks by itself.
    """
    from napari_biofm.images.segment.catalogue import make_segmenter

    return make_segmenter(name, device)
