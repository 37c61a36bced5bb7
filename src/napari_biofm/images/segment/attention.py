"""Attention with decomposed relative positions, without the big matrix.

The transformer blocks of Segment Anything (and of Cellpose-SAM, which is built from them) add to every
logit a term for the row distance and one for the column distance, both dot products of the query with a
table. Stock builds the (tokens x tokens) matrix of all logits and walks over it again and again. Here:

- On a GPU the terms are appended to the query, one-hot rows and columns to the key,
  [q, q.Rh, q.Rw] . [k, onehot(row), onehot(column)] = q.k + bias, and one plain
  `scaled_dot_product_attention` does the rest with its fused kernels.
- On a CPU the logits are made in pieces that fit its cache, and the terms are added there.

Same numbers to rounding (`tests/images/segment/test_attention.py`); how much faster is measured by
`benchmarks/cpsam_vs_stock.py` and `benchmarks/sam_vs_stock.py`.

Li et al. 2022, MViTv2 (decomposed relative positions); Kirillov et al. 2023, Segment Anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

_PIECE = 1 << 19  # logits at once: 2 MB in float32, about a processor's second-level cache


def install(blocks: Iterable[nn.Module]) -> None:
    """Replace the attention of transformer blocks by the folded one; weights stay where they are."""
    for block in blocks:
        attention: Any = block.attn
        if getattr(attention, "use_rel_pos", False):
            attention.forward = FoldedAttention(attention)


class FoldedAttention:
    """Forward of one attention module with `qkv`, `proj`, `num_heads`, `scale` and position tables."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self._tables: dict[Any, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Attend over x : (B, H, W, C)."""
        module = self.module
        batch, height, width, _ = x.shape
        tokens, heads = height * width, module.num_heads
        query, key, value = (
            module.qkv(x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        )
        rows, columns, onehot = self._look_up(height, width, query)
        grid = query.reshape(batch, heads, height, width, -1)
        by_row = torch.einsum("bnhwc,hkc->bnhwk", grid, rows).reshape(batch, heads, tokens, height)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", grid, columns).reshape(batch, heads, tokens, width)
        attend = in_pieces if query.device.type == "cpu" else fused
        attended = attend(query * module.scale, key, value, by_row, by_column, onehot)
        result: torch.Tensor = module.proj(attended.transpose(1, 2).reshape(batch, height, width, -1))
        return result

    def _look_up(
        self, height: int, width: int, like: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the tables (H, H, C) and (W, W, C) and the one-hot keys (H*W, >= H+W)."""
        where = (height, width, like.dtype, like.device)
        if where not in self._tables:
            rows = _table(self.module.rel_pos_h, height).to(like)
            columns = _table(self.module.rel_pos_w, width).to(like)
            spare = -(like.shape[-1] + height + width) % 8  # kernels like multiples of eight
            onehot = torch.cat(
                [
                    torch.eye(height).repeat_interleave(width, 0),
                    torch.eye(width).repeat(height, 1),
                    torch.zeros(height * width, spare),
                ],
                dim=-1,
            ).to(like)
            self._tables[where] = (rows, columns, onehot)
        return self._tables[where]


def fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    by_row: torch.Tensor,
    by_column: torch.Tensor,
    onehot: torch.Tensor,
) -> torch.Tensor:
    """Attend with the position terms folded into query and key.

    Parameters
    ----------
    query, key, value : (B, heads, tokens, C); the query is scaled.
    by_row, by_column : (B, heads, tokens, H) and (..., W), the terms of every key row and column.
    onehot : (tokens, >= H + W), row and column of every key.
    """
    spare = onehot.shape[-1] - by_row.shape[-1] - by_column.shape[-1]
    folded = F.pad(torch.cat([query, by_row, by_column], dim=-1), (0, spare))
    keys = torch.cat([key, onehot.expand(*key.shape[:2], -1, -1)], dim=-1)
    values = F.pad(value, (0, onehot.shape[-1]))
    if (
        query.device.type == "mps"
    ):  # its kernels misread what is not contiguous (pytorch issues 163597 and 181133)
        folded, keys, values = folded.contiguous(), keys.contiguous(), values.contiguous()
    attended = F.scaled_dot_product_attention(folded, keys, values, scale=1.0)
    return attended[..., : value.shape[-1]]


def in_pieces(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    by_row: torch.Tensor,
    by_column: torch.Tensor,
    onehot: torch.Tensor,  # noqa: ARG001 (the same parameters as `fused`)
) -> torch.Tensor:
    """Attend piece by piece; parameters as for `fused`."""
    height, width = by_row.shape[-1], by_column.shape[-1]
    tokens = height * width
    flat = [t.flatten(0, 1) for t in (query, key.transpose(-1, -2), value, by_row, by_column)]
    result = torch.empty_like(flat[2])
    group = max(1, _PIECE // tokens**2)
    step = tokens if group > 1 else max(32, _PIECE // tokens)
    for first in range(0, len(result), group):
        q, k, v, r, c = (t[first : first + group] for t in flat)
        for start in range(0, tokens, step):
            piece = slice(start, start + step)
            logits = (q[:, piece] @ k).unflatten(-1, (height, width))
            logits += r[:, piece, :, None]
            logits += c[:, piece, None, :]
            result[first : first + group, piece] = logits.flatten(-2).softmax(-1) @ v
    return result.unflatten(0, query.shape[:2])


def _table(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Return entry [i, j] = embedding of the distance i - j, interpolated where the table is longer."""
    length = 2 * size - 1
    if positions.shape[0] != length:
        curve = positions.T[None].float()
        positions = F.interpolate(curve, size=length, mode="linear")[0].T.to(positions.dtype)
    index = torch.arange(size, device=positions.device)
    return positions[index[:, None] - index[None, :] + size - 1]
