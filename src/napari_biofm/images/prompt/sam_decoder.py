"""Segment Anything's mask decoder as few matrix products: what a click costs, with the same answers.

A prompt has about seven tokens, the image 4,096 positions. Stock projects all positions to keys, queries
and values for each of five attentions. Since attention is linear in what it reads, those projections can
be moved to the tokens' side, where they cost next to nothing:

    q . (W x + b) = (W^T q) . x + const,    sum_i a_i (W x_i + b) = W (sum_i a_i x_i) + b

The upscaling is kept as (pixels, channels) from end to end: a transposed convolution whose kernel is its
stride is one matrix product per pixel, and only the finished masks are put in image order.

Same numbers to rounding (`tests/images/prompt/test_sam.py`); times in `benchmarks/clicks.py`. Kirillov et al. 2023,
Segment Anything (the decoder).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def quicken(decoder: nn.Module, prompt_encoder: nn.Module) -> None:
    """Make a mask decoder answer quicker; its weights and answers stay the same.

    Parameters
    ----------
    decoder, prompt_encoder : modules of segment-anything; changed in place. The positions of the image, equal
        for all clicks, are computed once.
    """
    stock: Any = prompt_encoder  # attributes of modules are tensors or modules to the type checker
    object.__setattr__(decoder, "predict_masks", FoldedDecoder(decoder))
    kept: dict[torch.device, Tensor] = {}
    compute = stock.get_dense_pe

    def dense_pe() -> Tensor:
        device = stock.point_embeddings[0].weight.device
        if device not in kept:
            kept.clear()
            kept[device] = compute()
        return kept[device]

    stock.get_dense_pe = dense_pe


class FoldedDecoder:
    """`predict_masks` of one mask decoder."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self._places: tuple[Tensor, Tensor] | None = None  # positional encoding as given, and row by row

    def __call__(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts about one image.

        Parameters
        ----------
        image_embeddings, image_pe : (1, C, H, W).
        sparse_prompt_embeddings : (B, n, C), dense_prompt_embeddings : (B, C, H, W).

        Returns
        -------
        logits (B, masks, 4 H, 4 W) and expected IoU (B, masks).
        """
        decoder = self.decoder
        batch = len(sparse_prompt_embeddings)
        height, width = image_embeddings.shape[-2:]
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, -1, -1), sparse_prompt_embeddings], 1)
        image = _rows(image_embeddings + dense_prompt_embeddings)
        tokens, image = self._transform(tokens, image, self._rows_of(image_pe))
        scores: Tensor = decoder.iou_prediction_head(tokens[:, 0])
        count = decoder.num_mask_tokens
        filters = torch.stack(
            [decoder.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in range(count)], -1
        )
        logits = self._upscale(image) @ filters
        grid = logits.reshape(batch, height, width, 2, 2, 2, 2, count).permute(0, 7, 1, 3, 5, 2, 4, 6)
        return grid.reshape(batch, count, 4 * height, 4 * width), scores

    def _rows_of(self, image_pe: Tensor) -> Tensor:
        if self._places is None or self._places[0] is not image_pe:
            self._places = (image_pe, _rows(image_pe))
        return self._places[1]

    def _transform(self, tokens: Tensor, image: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens (B, n, C) and image (B, T, C) look at each other."""
        transformer = self.decoder.transformer
        first, placed = tokens, image + places
        for layer in transformer.layers:
            if layer.skip_first_layer_pe:
                tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
            else:
                known = tokens + first
                tokens = tokens + layer.self_attn(q=known, k=known, v=tokens)
            tokens = layer.norm1(tokens)
            seen = _tokens_read(layer.cross_attn_token_to_image, tokens + first, placed, image)
            tokens = layer.norm2(tokens + seen)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            told = _image_reads(layer.cross_attn_image_to_token, placed, tokens + first, tokens)
            image = layer.norm4(told.add_(image))
            placed = image + places
        seen = _tokens_read(transformer.final_attn_token_to_image, tokens + first, placed, image)
        return transformer.norm_final_attn(tokens + seen), image

    def _upscale(self, image: Tensor) -> Tensor:
        """Bring (B, T, C) to (B, 16 T, C / 8): each position becomes 2 x 2, and each of these again."""
        grow, norm, act, grow_again, act_again = self.decoder.output_upscaling
        x = _grown(image, grow)
        x = act(F.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, norm.eps))
        grown: Tensor = act_again(_grown(x, grow_again))
        return grown


def _rows(grid: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C)."""
    return grid.flatten(2).transpose(1, 2).contiguous()


def _grown(x: Tensor, layer: Any) -> Tensor:
    """Apply a transposed convolution of kernel and stride 2: (B, T, C) -> (B, 4 T, C'), blocks kept together."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(x, weight, layer.bias.repeat(4)).unflatten(-1, (4, -1)).flatten(1, 2)


def _by_head(attention: Any, projection: Any) -> tuple[Tensor, Tensor]:
    """Return weight (heads, c, C) and bias (heads, c) of a projection."""
    shape = (attention.num_heads, -1)
    return projection.weight.unflatten(0, shape), projection.bias.unflatten(0, shape)


def _tokens_read(attention: Any, tokens: Tensor, placed: Tensor, image: Tensor) -> Tensor:
    """Attend from tokens (B, n, C) to the image; keys are `placed`, values `image`, both (B, T, C)."""
    keys, _ = _by_head(attention, attention.k_proj)  # its bias adds the same to all logits of a token
    values, _ = _by_head(attention, attention.v_proj)
    query = attention.q_proj(tokens).unflatten(-1, keys.shape[:2]) / math.sqrt(keys.shape[1])
    asked = torch.einsum("bnhc,hcd->bhnd", query, keys).flatten(1, 2)
    weights = (asked @ placed.transpose(1, 2)).softmax(-1)
    seen = (weights @ image).unflatten(1, (len(keys), -1))
    read = torch.einsum("bhnd,hcd->bnhc", seen, values).flatten(2) + attention.v_proj.bias
    result: Tensor = attention.out_proj(read)
    return result


def _image_reads(attention: Any, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend from the image (B, T, C) to tokens (B, n, C)."""
    asking, bias = _by_head(attention, attention.q_proj)
    shape = asking.shape[:2]
    key = attention.k_proj(keys).unflatten(-1, shape) / math.sqrt(shape[1])
    value = attention.v_proj(values).unflatten(-1, shape)
    asked = torch.einsum("bnhc,hcd->bhnd", key, asking).flatten(1, 2)
    offset = torch.einsum("bnhc,hc->bhn", key, bias).flatten(1, 2)
    logits = torch.baddbmm(
        offset[..., None], asked, placed.transpose(1, 2)
    )  # tokens first: quicker to normalise
    weights = logits.unflatten(1, (shape[0], -1)).softmax(2).flatten(1, 2).transpose(1, 2)
    told = torch.einsum("bnhc,dhc->bhnd", value, attention.out_proj.weight.unflatten(1, shape)).flatten(1, 2)
    return torch.baddbmm(attention.out_proj.bias.expand(len(told), 1, -1), weights, told)
