"""The only file that touches segment-anything (1.0): its network and the way it resizes.

ViT-B, L, H and the micro-sam checkpoints load alike: the network takes its shape from the tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from torch import nn

_PATCH = 16  # pixels per position of the features


def resize_longest(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize (Y, X, 3) so that its longest side is `side`, as the network was trained."""
    from segment_anything.utils.transforms import ResizeLongestSide

    return np.asarray(ResizeLongestSide(side).apply_image(pixels), np.uint8)


def build(checkpoint: Checkpoint) -> nn.Module:
    """Build the network that a checkpoint's shapes describe, around its tensors.

    Raises
    ------
    ModelError
        When the tensors do not fit.
    """
    import torch
    from segment_anything.modeling import ImageEncoderViT

    try:
        shape = _architecture(checkpoint.state)
        with torch.device("meta"):
            encoder = ImageEncoderViT(norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), **shape)
    except (RuntimeError, KeyError, ZeroDivisionError) as error:
        raise _misfit(checkpoint, error) from error
    return assemble(checkpoint, encoder, shape["img_size"], shape["out_chans"])


def assemble(
    checkpoint: Checkpoint,
    encoder: nn.Module,
    side: int,
    channels: int,
    rename: Callable[[str], str | None] = lambda key: key,
) -> nn.Module:
    """Put an encoder together with prompt encoder and mask decoder, around a checkpoint's tensors.

    Parameters
    ----------
    encoder : (B, 3, side, side) to (B, channels, side / 16, side / 16), without weights.
    side : pixels of its input.
    rename : from the checkpoint's names to the network's; None leaves a tensor out.

    Raises
    ------
    ModelError
        When the tensors do not fit.
    """
    import torch
    from segment_anything.modeling import Sam

    state = {rename(key): value.float() for key, value in checkpoint.state.items()}
    state.pop(None, None)
    try:
        with torch.device("meta"):
            sam = Sam(encoder, *_prompt_and_decoder(channels, side // _PATCH))
        sam.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise _misfit(checkpoint, error) from error
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1)
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).reshape(3, 1, 1)
    return sam


def build_decoder(checkpoint: Checkpoint, grid: int) -> nn.ModuleDict:
    """Build prompt encoder and mask decoder around copies of a checkpoint's tensors, to be trained.

    Parameters
    ----------
    checkpoint : of any model of the family; its image encoder is left alone.
    grid : positions along a side of the encoder's features.

    Returns
    -------
    `prompt_encoder` and `mask_decoder`; the names of their tensors are those of the checkpoint.

    Raises
    ------
    ModelError
        When the tensors do not fit.
    """
    import torch
    from torch import nn

    names = ("prompt_encoder", "mask_decoder")
    state = {k: v.float().clone() for k, v in checkpoint.state.items() if k.split(".")[0] in names}
    try:
        with torch.device("meta"):
            parts = _prompt_and_decoder(int(state["mask_decoder.iou_token.weight"].shape[1]), grid)
        both = nn.ModuleDict(dict(zip(names, parts, strict=True)))
        both.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, KeyError) as error:
        raise _misfit(checkpoint, error) from error
    return both


def _prompt_and_decoder(channels: int, grid: int) -> tuple[nn.Module, nn.Module]:
    from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

    side = grid * _PATCH
    transformer = TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=2048, num_heads=8)
    prompt: nn.Module = PromptEncoder(channels, (grid, grid), (side, side), mask_in_chans=16)
    return prompt, MaskDecoder(transformer_dim=channels, transformer=transformer)


def _misfit(checkpoint: Checkpoint, error: Exception) -> ModelError:
    detail = "; ".join(line.strip() for line in str(error).splitlines()[:2])
    return ModelError(
        f"{checkpoint.path} does not fit a Segment Anything network ({detail[:200]}); "
        f"it was made by another version or is damaged"
    )


def _architecture(state: dict[str, Any]) -> dict[str, Any]:
    """Read the shape of the image encoder off its tensors."""
    encoder = "image_encoder."
    grid = int(state[f"{encoder}pos_embed"].shape[1])
    width, _, patch, _ = state[f"{encoder}patch_embed.proj.weight"].shape
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith(f"{encoder}blocks."))
    reach = [int(state[f"{encoder}blocks.{i}.attn.rel_pos_h"].shape[0]) for i in range(depth)]
    windowed = [length for length in reach if length != 2 * grid - 1]
    head = state[f"{encoder}blocks.0.attn.rel_pos_h"].shape[1]
    return {
        "img_size": grid * patch,
        "patch_size": patch,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // head,
        "mlp_ratio": state[f"{encoder}blocks.0.mlp.lin1.weight"].shape[0] / width,
        "out_chans": state[f"{encoder}neck.0.weight"].shape[0],
        "use_rel_pos": True,
        "window_size": (windowed[0] + 1) // 2 if windowed else 0,
        "global_attn_indexes": tuple(i for i, length in enumerate(reach) if length == 2 * grid - 1),
    }
