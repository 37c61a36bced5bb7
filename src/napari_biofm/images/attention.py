"""Attention with decomposed relative positions, without the big matrix.

The transformer blocks of Segment Anything (and of Cellpose-SAM, which is built from them) add to every
logit a term for the row distance and one for the column distance. Both are dot products of the query
with a table, so they can be appended to the query, with one-hot rows and columns appended to the key:

    [q, q.Rh, q.Rw] . [k, onehot(row), onehot(column)] = q.k + bias

The sum is then one plain `scaled_dot_product_attention`, which never builds the (tokens x tokens) bias.
Same numbers to rounding; on two CPU cores 1.5 times faster per block at 1,024 tokens, 2 times at 4,096
(`benchmarks/cpsam_vs_stock.py`, `benchmarks/sam_vs_stock.py`).

Li et al. 2022, MViTv2 (decomposed relative positions); Kirillov et al. 2023, Segment Anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


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
        spare = onehot.shape[-1] - height - width
        parts = [query * module.scale, by_row, by_column]
        if spare:
            parts.append(query.new_zeros(batch, heads, tokens, spare))
        attended = F.scaled_dot_product_attention(
            torch.cat(parts, dim=-1),
            torch.cat([key, onehot.expand(batch, heads, -1, -1)], dim=-1),
            F.pad(value, (0, onehot.shape[-1])),
            scale=1.0,
        )
        attended = attended[..., : value.shape[-1]].transpose(1, 2).reshape(batch, height, width, -1)
        result: torch.Tensor = module.proj(attended)
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


def _table(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Return entry [i, j] = embedding of the distance i - j, interpolated where the table is longer."""
    length = 2 * size - 1
    if positions.shape[0] != length:
        curve = positions.T[None].float()
        positions = F.interpolate(curve, size=length, mode="linear")[0].T.to(positions.dtype)
    index = torch.arange(size, device=positions.device)
    return positions[index[:, None] - index[None, :] + size - 1]
