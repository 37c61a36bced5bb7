"""Training Segment Anything's mask decoder on simulated clicks and boxes; features of the images are given.

A step takes some cells of one image, prompts each by a click or a box, and twice more by a click on what is wrong.
Losses are those of Segment Anything: 20 x focal loss (Lin et al. 2017) and dice loss (Milletari et al. 2016) of the
mask, and the squared error of the expected IoU. A single click is ambiguous: of the three alternatives only the best
one learns. Kirillov et al., Segment Anything, ICCV 2023, appendix A.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.prompt.sam import STRIDE, Prepared
from napari_biofm.images.train.sam_prompts import Click, box_of, first_click, next_click, overlap
from napari_biofm.images.train.sam_settings import SamSettings
from napari_biofm.types import Labels, Progress, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

LEAST_PIXELS = 16  # of the network's input; a smaller cell is no mask to learn from
_STEPS = 50  # of an epoch at most
_WATCHED, _MOST_WATCHED = (
    0.2,
    48,
)  # share of the taught cells that early stopping looks at, and how many at most
_LOW = 4  # pixels of the input per pixel of a mask as the decoder gives it
_FOCAL = 20.0


@dataclass(frozen=True)
class Lesson:
    """One tile of an image.

    Attributes
    ----------
    features : (C, g, g) float32 of the frozen encoder.
    labels : (16 g, 16 g) int32 on the network's input.
    cells : ids of `labels` that are wholly in the tile and large enough.
    """

    features: NDArray[np.float32]
    labels: Labels
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Trained:
    """How it went: loss and mean IoU of the watched cells of every epoch, and the epoch whose weights are kept (from 1, 0 is
    before the first).
    """

    loss: tuple[float, ...]
    watched: tuple[float, ...]
    best_epoch: int


def lessons_of(prepared: Prepared, masks: Labels) -> list[Lesson]:
    """Return the tiles of an image with their cells, on the grid of the network's input.

    Parameters
    ----------
    prepared : of the image.
    masks : (Y, X) int32, numbered from 1.
    """
    whole = np.bincount(masks.ravel())
    made = []
    for tile in prepared.tiles:
        y0, x0, y1, x1 = tile.box
        part, side = masks[y0:y1, x0:x1], tile.features.shape[-1] * STRIDE
        rows, columns = (
            np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1)
            for n, m in zip(tile.input_size, part.shape, strict=True)
        )
        labels = np.zeros((side, side), np.int32)
        labels[: len(rows), : len(columns)] = part[rows[:, None], columns]
        here, drawn = (np.bincount(a.ravel(), minlength=len(whole)) for a in (part, labels))
        usable = (here == whole) & (drawn >= LEAST_PIXELS)
        usable[0] = False
        made.append(Lesson(tile.features, labels, tuple(np.flatnonzero(usable).tolist())))
    return [lesson for lesson in made if lesson.cells]


def train_decoder(
    parts: nn.ModuleDict, lessons: Sequence[Lesson], settings: SamSettings, device: str
) -> Task[Trained]:
    """Train a mask decoder in place; it ends with the weights that were best on watched cells.

    A fifth of the cells of the taught images is watched and not learnt from (all of them where there are fewer than
    five).

    Parameters
    ----------
    parts : `prompt_encoder` and `mask_decoder`.
    lessons : with one cell or more each.
    settings : how to teach.
    device : "cpu", "cuda" or "mps".
    """
    return (yield from _Trainer(parts, lessons, settings, device).run())


class _Trainer:
    def __init__(
        self, parts: nn.ModuleDict, lessons: Sequence[Lesson], settings: SamSettings, device: str
    ) -> None:
        import torch

        from napari_biofm.images.prompt.sam_decoder import quicken

        self.device, self.settings, self.lessons = device, settings, lessons
        self.parts = parts.to(device)
        self.prompt_encoder = cast(Any, parts["prompt_encoder"])
        self.decoder = cast(Any, parts["mask_decoder"])
        quicken(
            self.decoder, self.prompt_encoder
        )  # the same numbers and gradients, four times as fast on a CPU
        self.prompt_encoder.requires_grad_(settings.prompt_encoder)
        self.decoder.requires_grad_(True)
        learnt = [p for p in parts.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            learnt, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.features = [torch.as_tensor(lesson.features, device=device)[None] for lesson in lessons]
        with torch.no_grad():
            self.places = self.prompt_encoder.get_dense_pe()
        self.rng = np.random.default_rng(settings.seed)
        cells = [(n, label) for n, lesson in enumerate(lessons) for label in lesson.cells]
        order = self.rng.permutation(len(cells)).tolist()
        count = min(_MOST_WATCHED, int(_WATCHED * len(cells)))
        self.watched = sorted(cells[i] for i in order[:count]) or cells
        self.taught = sorted(cells[i] for i in order[count:])

    def run(self) -> Task[Trained]:
        """Train until nothing gets better; yields every step."""
        settings = self.settings
        best, best_epoch, kept = self._score(), 0, copy.deepcopy(self.parts.state_dict())
        losses: list[float] = []
        watched: list[float] = []
        for epoch in range(1, settings.epochs + 1):
            batches = self._batches()
            total = 0.0
            for number, (lesson, labels) in enumerate(batches):
                done, steps = (epoch - 1) * len(batches) + number, settings.epochs * len(batches)
                told = f", IoU of watched cells {watched[-1]:.2f}" if watched else ""
                yield Progress(done, steps, f"epoch {epoch} of {settings.epochs} on {self.device}{told}")
                total += self._step(lesson, labels)
            losses.append(total / len(batches))
            watched.append(self._score())
            if watched[-1] > best:
                best, best_epoch, kept = watched[-1], epoch, copy.deepcopy(self.parts.state_dict())
            if epoch - best_epoch >= settings.patience:
                break
        self.parts.load_state_dict(kept)
        return Trained(tuple(losses), tuple(watched), best_epoch)

    def _batches(self) -> list[tuple[int, list[int]]]:
        """Return the cells of an epoch, each batch of one tile, in an order that is drawn."""
        found, size = [], self.settings.batch
        for n in range(len(self.lessons)):
            labels = self.rng.permutation([label for m, label in self.taught if m == n]).tolist()
            found += [(n, [int(x) for x in labels[k : k + size]]) for k in range(0, len(labels), size)]
        return [found[i] for i in self.rng.permutation(len(found))[:_STEPS]]

    def _step(self, number: int, labels: list[int]) -> float:
        """Prompt some cells of a tile several times and learn from it; return the mean loss."""
        import torch

        lesson, rng = self.lessons[number], self.rng
        masks = [lesson.labels == label for label in labels]
        targets = torch.as_tensor(np.stack([_soft(mask) for mask in masks]), device=self.device)
        boxes = self._boxes(masks, rng) if rng.random() < 0.5 else None
        clicks: list[list[Click]] = [[first_click(m, rng)] if boxes is None else [] for m in masks]
        hint = None
        total = 0.0
        self.optimiser.zero_grad()
        for _ in range(self.settings.prompts):
            alone = boxes is None and len(clicks[0]) == 1
            logits, expected = self._ask(number, clicks, boxes, hint)
            chosen = slice(1, None) if alone else slice(0, 1)
            loss, best = _loss(logits[:, chosen], expected[:, chosen], targets)
            (loss / self.settings.prompts).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / self.settings.prompts
            found = logits[:, chosen].detach()[torch.arange(len(labels)), best]
            hint = found[:, None] if rng.random() < 0.5 else None
            for given, mask, answer in zip(clicks, masks, (found > 0).cpu().numpy(), strict=True):
                wrong = next_click(_low(mask), answer, rng)
                given.append(
                    Click((wrong.y + 0.5) * _LOW - 0.5, (wrong.x + 0.5) * _LOW - 0.5, wrong.positive)
                )
        torch.nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimiser.step()
        return total

    def _boxes(self, masks: list[NDArray[np.bool_]], rng: np.random.Generator | None) -> Tensor:
        import torch

        corners = np.array([box_of(mask, rng) for mask in masks])[:, [1, 0, 3, 2]]
        return torch.as_tensor(corners, dtype=torch.float32, device=self.device)

    def _ask(
        self, number: int, clicks: list[list[Click]], boxes: Tensor | None, hint: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (n, 4, 4 g, 4 g) and expected IoU (n, 4)."""
        import torch

        points = None
        if clicks[0]:
            places = np.array([[(c.x, c.y) for c in row] for row in clicks])
            signs = np.array([[c.positive for c in row] for row in clicks])
            points = (
                torch.as_tensor(places, dtype=torch.float32, device=self.device),
                torch.as_tensor(signs, dtype=torch.int, device=self.device),
            )
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=hint)
        answer: tuple[Tensor, Tensor] = self.decoder.predict_masks(
            image_embeddings=self.features[number],
            image_pe=self.places,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )
        return answer

    def _score(self) -> float:
        """Return the mean IoU of the watched cells after a click and after a box, at the decoder's resolution."""
        import torch

        found: list[float] = []
        for number, lesson in enumerate(self.lessons):
            labels = [label for n, label in self.watched if n == number]
            for k in range(0, len(labels), self.settings.batch):
                masks = [lesson.labels == label for label in labels[k : k + self.settings.batch]]
                with torch.no_grad():
                    logits, expected = self._ask(number, [[first_click(m)] for m in masks], None, None)
                    by_click = logits[torch.arange(len(masks)), 1 + expected[:, 1:].argmax(1)]
                    boxed, _ = self._ask(number, [[] for _ in masks], self._boxes(masks, None), None)
                for answers in (by_click, boxed[:, 0]):
                    found += map(overlap, map(_low, masks), (answers > 0).cpu().numpy())
        return float(np.mean(found))


def _loss(logits: Tensor, expected: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of m alternatives (n, m, y, x) for targets (n, y, x), and the best alternative of each (n,)."""
    from torch.nn import functional as F  # noqa: N812

    wanted = targets[:, None].expand_as(logits)
    share = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    focal = (entropy * (share - wanted).abs() ** 2).mean((-1, -2))
    dice = 1 - (2 * (share * wanted).sum((-1, -2)) + 1) / (share.sum((-1, -2)) + wanted.sum((-1, -2)) + 1)
    each = _FOCAL * focal + dice
    inside, cell = logits.detach() > 0, wanted > 0.5
    truth = (inside & cell).sum((-1, -2)) / (inside | cell).sum((-1, -2)).clamp(min=1)
    best = each.min(1)
    return best.values.mean() + F.mse_loss(expected, truth.to(expected.dtype)), best.indices


def _soft(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the share of each pixel of the decoder's mask that belongs to the cell."""
    low = mask.shape[0] // _LOW
    return mask.reshape(low, _LOW, low, _LOW).mean((1, 3), dtype=np.float32)


def _low(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask at the decoder's resolution, with one true pixel or more."""
    soft = _soft(mask)
    return np.asarray(soft >= min(0.5, float(soft.max())), bool)
