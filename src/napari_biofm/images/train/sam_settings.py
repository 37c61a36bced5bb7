"""How Segment Anything is taught; apart, so that forms and `--help` need nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamSettings:
    """How to teach.

    Attributes
    ----------
    epochs : rounds through the cells at most, of 50 steps at most.
    patience : epochs without a better score on watched cells after which it ends.
    learning_rate, weight_decay : of AdamW.
    batch : cells prompted at once.
    prompts : prompts of a cell in each step: a click or a box, then correcting clicks.
    prompt_encoder : also trains how clicks, boxes and masks are encoded.
    fraction : of the images that is kept back for the score where none is marked.
    seed : of everything that is drawn.
    """

    epochs: int = 30
    patience: int = 5
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    batch: int = 4
    prompts: int = 3
    prompt_encoder: bool = False
    fraction: float = 0.25
    seed: int = 0
