"""The network of physio-FM: a one-dimensional ConvNeXt U on patches of eight samples.

Only imported in the worker (it imports torch). Layout is (batch, time, channels) throughout, so that
the pointwise layers are plain matrix products; the depthwise convolution is told so by a view.
Blocks after Liu et al. 2022 ("A ConvNet for the 2020s"), conditioning after Perez et al. 2018 (FiLM).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_biofm.events.physio_fm.input_encoding import (
    CLASSES,
    N_INPUTS,
    N_TOKENS,
    PATCH,
    RHYTHMS,
    TOKEN_KINDS,
)

# Per-sample outputs: event heat, artefact heat, denoised trace (asinh units), log expected spikes, and the
# hidden trace (masked reconstruction).
N_SAMPLE_OUTPUTS = 5
# Per-token outputs: amplitude (asinh), log10 rise and decay (s), polarity logit, class logits.
N_TOKEN_OUTPUTS = 4 + len(CLASSES)
# Per-window outputs: kind logits, fault logits (hum, clipping, wrong unit, inverted), rhythm logits.
FAULTS = ("hum", "clipping", "wrong unit", "inverted")
N_WINDOW_OUTPUTS = len(TOKEN_KINDS) + len(FAULTS) + len(RHYTHMS)


def reflect(x: Tensor, n: int) -> Tensor:
    """Mirror (B, T, C) by n samples at both ends; repeats the edge where T is too short to mirror."""
    t = x.shape[1]
    if t > n:
        return torch.cat([x[:, 1 : n + 1].flip(1), x, x[:, t - n - 1 : t - 1].flip(1)], 1)
    index = torch.arange(-n, t + n, device=x.device)
    index = index.abs() if t > 1 else index * 0
    index = torch.where(index > t - 1, 2 * (t - 1) - index, index).clamp(0, t - 1)
    return x[:, index]


class Block(nn.Module):
    """Depthwise convolution, norm, two pointwise layers, residual."""

    def __init__(self, width: int, kernel: int = 7, expansion: int = 2) -> None:
        super().__init__()
        self.pad = kernel // 2
        self.depthwise = nn.Conv2d(width, width, (1, kernel), groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        padded = reflect(x, self.pad)
        y = self.depthwise(padded.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        out: Tensor = self.down(self.up(self.norm(y)).relu_()).add_(x)
        return out


class Film(nn.Module):
    """Scale and shift of a stage from the recording's tokens."""

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, T, C), (B, D) -> (B, T, C)."""
        scale, shift = self.linear(condition).unsqueeze(1).chunk(2, -1)
        return torch.addcmul(shift, x, 1 + scale)


class PhysioNetwork(nn.Module):
    """Trace windows and their tokens -> events, denoised trace, rates, and what the window is.

    Parameters
    ----------
    widths : channels at 8, 32 and 128 samples per token.
    depths : blocks going down, at the bottom, and going up: (down 8, down 32, bottom, up 32, up 8).
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 224),
        depths: Sequence[int] = (2, 3, 4, 2, 2),
        condition: int = 64,
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.config = {"widths": list(widths), "depths": list(depths), "condition": condition}
        self.context = PATCH
        seen = (PATCH + 2 * self.context) * N_INPUTS
        self.tokens = nn.Sequential(
            nn.Linear(N_TOKENS, condition),
            nn.ReLU(inplace=True),
            nn.Linear(condition, condition),
            nn.ReLU(inplace=True),
        )
        self.patch = nn.Sequential(nn.Linear(seen, 2 * a), nn.ReLU(inplace=True), nn.Linear(2 * a, a))
        self.masked = nn.Parameter(torch.zeros(a))
        self.films = nn.ModuleList(Film(condition, w) for w in (a, b, c, b, a))
        self.down = nn.ModuleList([nn.Linear(4 * a, b), nn.Linear(4 * b, c)])
        self.up = nn.ModuleList([nn.Linear(c, 4 * b), nn.Linear(b, 4 * a)])
        self.merge = nn.ModuleList([nn.Linear(2 * b, b), nn.Linear(2 * a, a)])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(w) for _ in range(n))) for w, n in zip((a, b, c, b, a), depths, strict=True)
        )
        self.norm = nn.LayerNorm(a)
        self.sample_head = nn.Sequential(
            nn.Linear(a + seen, 96), nn.ReLU(inplace=True), nn.Linear(96, PATCH * N_SAMPLE_OUTPUTS)
        )
        self.token_head = nn.Sequential(
            nn.Linear(a, 64), nn.ReLU(inplace=True), nn.Linear(64, N_TOKEN_OUTPUTS)
        )
        self.window_head = nn.Sequential(
            nn.Linear(2 * c + a, 96), nn.ReLU(inplace=True), nn.Linear(96, N_WINDOW_OUTPUTS)
        )
        with torch.no_grad():
            last = self.sample_head[2]
            assert isinstance(last, nn.Linear)
            bias = last.bias.view(PATCH, N_SAMPLE_OUTPUTS)
            bias[:, :2] = -4.0
            bias[:, 3] = -4.0

    def trunk(
        self, inputs: Tensor, tokens: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return token features (B, T/8, a), the patches they saw, and the bottom (B, T/128, c)."""
        batch, _, samples = inputs.shape
        padded = reflect(inputs.transpose(1, 2), self.context)
        seen = padded.unfold(1, PATCH + 2 * self.context, PATCH).reshape(batch, samples // PATCH, -1)
        x = self.patch(seen)
        if hidden is not None:
            x = torch.where(hidden.unsqueeze(-1), self.masked, x)
            seen = torch.where(hidden.unsqueeze(-1), torch.zeros_like(seen), seen)
        condition = self.tokens(tokens)
        skips = []
        for i in range(2):
            x = self.stages[i](self.films[i](x, condition))
            skips.append(x)
            x = self.down[i](x.reshape(batch, x.shape[1] // 4, -1))
        bottom = x = self.stages[2](self.films[2](x, condition))
        for i in range(2):
            x = self.up[i](x).reshape(batch, x.shape[1] * 4, -1)
            x = self.merge[i](torch.cat([x, skips.pop()], -1))
            x = self.stages[3 + i](self.films[3 + i](x, condition))
        return self.norm(x), seen, bottom

    def forward(self, inputs: Tensor, tokens: Tensor, hidden: Tensor | None = None) -> dict[str, Tensor]:
        """Run the network.

        Parameters
        ----------
        inputs : (B, N_INPUTS, T), T a multiple of 128.
        tokens : (B, N_TOKENS)
        hidden : (B, T / 8) bool, patches to hide (masked reconstruction), or None.

        Returns
        -------
        sample : (B, T, 5), token : (B, T / 8, 12), window : (B, 14), features : (B, T / 8, a)
        """
        features, seen, bottom = self.trunk(inputs, tokens, hidden)
        sample = self.sample_head(torch.cat([features, seen], -1))
        pooled = torch.cat([bottom.mean(1), bottom.amax(1), features.mean(1)], -1)
        return {
            "sample": sample.reshape(inputs.shape[0], inputs.shape[2], N_SAMPLE_OUTPUTS),
            "token": self.token_head(features),
            "window": self.window_head(pooled),
            "features": features,
        }
