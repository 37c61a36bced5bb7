"""A student learns from a teacher; the teacher here knows the truth, or is an untrained model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.images.train.distillation import _crop, ask, learn
from napari_biofm.types import (
    Capabilities,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
    run_task,
)


class Oracle:
    """Answers with masks it was given."""

    name = "oracle"
    weights_sha256 = ""
    capabilities = Capabilities(segments=True)

    def __init__(self, masks: np.ndarray) -> None:
        self.masks = masks

    def segment(self, image: np.ndarray, parameters: SegmentationParameters) -> Task[Segmentation]:
        """Give the masks."""
        yield Progress(0, 1)
        return Segmentation(self.masks)


def distill(images, teacher, out: Path, *how) -> Task[Path]:
    """Ask the teacher, then learn."""
    masks = yield from ask(teacher, images)
    return (yield from learn(images, masks, teacher.name, out, *how))


def test_the_loss_falls_and_the_result_is_a_model(random_weights: Path, tmp_path: Path, discs) -> None:
    image, truth = discs
    task = distill([image], Oracle(truth), tmp_path / "mine.safetensors", random_weights, 30, 2, 3e-3)
    messages = []
    while True:
        try:
            messages.append(next(task).message)
        except StopIteration as stop:
            path = stop.value
            break
    losses = [float(m.split()[1]) for m in messages if m.startswith("loss")]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    described = json.loads(path.with_suffix(".json").read_text())
    assert described["distilled"]["teacher"] == "oracle" and described["distilled"]["cells"] == truth.max()
    assert described["report"] == {}
    found = run_task(EmbeddedModel(path, threads=1).segment(image))
    assert found.masks.shape == image.shape


def test_a_teacher_that_sees_nothing_is_reported(random_weights: Path, tmp_path: Path, discs) -> None:
    with pytest.raises(ModelError, match="oracle found no cells in 1 images"):
        run_task(
            distill(
                [discs[0]], Oracle(np.zeros_like(discs[1])), tmp_path / "x.safetensors", random_weights, 1
            )
        )


def test_crops_keep_flows_pointing_at_the_centre() -> None:
    yy, xx = np.mgrid[:128, :128].astype(np.float32)
    away = np.stack([64 - yy, 64 - xx]) / (np.hypot(yy - 64, xx - 64) + 1e-3)
    lesson = np.concatenate([np.zeros((3, 128, 128), np.float32), away, np.ones((2, 128, 128), np.float32)])
    for seed in range(12):
        crop = _crop(lesson.astype(np.float32), np.random.default_rng(seed))
        toward = (crop[3] * (63.5 - yy) + crop[4] * (63.5 - xx))[::9, ::9]
        assert (toward[np.hypot(yy - 63.5, xx - 63.5)[::9, ::9] > 5] > 0).all()
