"""The network: one residual U-net, four heads. Imported in the worker only (needs torch).

Batch normalisation over running statistics is chosen over instance or group normalisation because it makes
the answer at a pixel independent of what else lies in the tile, so that tiles meet without seams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the usual name)

PROMPT_PLANES = 6  # positive points, negative points, box, previous mask, basin of the click, has-box


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network, stored beside the weights.

    Attributes
    ----------
    planes : input planes; images of any channel count are brought to this number.
    widths : channels at strides 2, 4, 8, 16, 32.
    blocks : residual blocks per encoder level.
    vector : channels of the feature map from which cell vectors are pooled (stride 4).
    prompt : channels of the mask decoder for clicks.
    """

    planes: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 160, 224)
    blocks: tuple[int, ...] = (1, 2, 2, 2, 2)
    vector: int = 96
    prompt: int = 32

    def to_json(self) -> dict[str, Any]:
        """Return the sizes as plain JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Architecture:
        """Read sizes from JSON values; unknown or impossible ones raise ValueError."""
        known = {"planes", "widths", "blocks", "vector", "prompt"}
        if set(values) != known:
            raise ValueError(f"architecture has keys {sorted(values)}, wanted {sorted(known)}")
        widths, blocks = tuple(values["widths"]), tuple(values["blocks"])
        numbers = (*widths, *blocks, values["planes"], values["vector"], values["prompt"])
        if (
            len(widths) != 5
            or len(blocks) != 5
            or not all(isinstance(n, int) and 0 < n <= 1024 for n in numbers)
        ):
            raise ValueError(f"architecture sizes out of range: {dict(values)}")
        return cls(values["planes"], widths, blocks, values["vector"], values["prompt"])


class Dense(NamedTuple):
    """What one pass gives.

    Attributes
    ----------
    flow : (B, 2, Y, X) unit-less flow to the cell centre, y then x.
    cell_prob : (B, 1, Y, X) logits.
    log_diameter : (B, 1, Y/4, X/4) log2 of the diameter in network pixels of the cell at this place.
    decoded : (B, widths[0], Y/2, X/2) decoder features, read by the mask decoder.
    vector_map : (B, vector, Y/4, X/4) features to pool cell vectors from.
    levels : encoder outputs at strides 2 to 32.
    """

    flow: Tensor
    cell_prob: Tensor
    log_diameter: Tensor
    decoded: Tensor
    vector_map: Tensor
    levels: list[Tensor]


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the last normalisation starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm2.weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape (B, C, Y, X)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)).add_(x), inplace=True)


def _step(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, (kernel - 1) // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class MaskDecoder(nn.Module):
    """Prompt planes beside image features -> mask logits, at stride 2, in a window around the prompt."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.image = nn.Conv2d(features + 4, width, 1)
        self.prompt = nn.Conv2d(PROMPT_PLANES, width, 5, padding=2)
        self.fine1 = Residual(width)
        self.down = _step(width, 2 * width, 3, 2)
        self.coarse = nn.Sequential(
            Residual(2 * width), _step(2 * width, 2 * width, 3, 2), Residual(2 * width)
        )
        self.up = nn.Conv2d(2 * width, width, 1)
        self.fine2 = Residual(width)
        self.out = nn.Conv2d(width, 4, 1)
        self.quality = nn.Linear(2 * width, 1)

    def forward(self, features: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Decode.

        Parameters
        ----------
        features : (B, C + 4, h, w) decoder features, flow, cell probability and distance to the window's
            edge.
        prompts : (B, PROMPT_PLANES, h, w).

        Returns
        -------
        (B, 1, 2 h, 2 w) mask logits and (B,) logit of the IoU expected of them.
        """
        fine = self.fine1(F.relu(self.image(features) + self.prompt(prompts)))
        coarse = self.coarse(self.down(fine))
        up = F.interpolate(self.up(coarse), fine.shape[-2:], mode="bilinear", align_corners=False)
        logits = F.pixel_shuffle(self.out(self.fine2(F.relu(fine + up))), 2)
        return logits, self.quality(coarse.amax((2, 3)))[:, 0]


class Network(nn.Module):
    """Encoder, decoder, and heads for flows, cell probability, diameter, vectors and prompted masks."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = arch = architecture or Architecture()
        w = arch.widths
        self.stem = _step(arch.planes, w[0], 5, 2)
        self.downs = nn.ModuleList(_step(a, b, 3, 2) for a, b in pairwise(w))
        self.encoder = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(n)))
            for width, n in zip(w, arch.blocks, strict=True)
        )
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(w))
        self.decoder = nn.ModuleList(Residual(width) for width in w[:-1])
        self.dense = nn.Conv2d(w[0], 12, 3, padding=1)
        self.scale = nn.Conv2d(w[1], 1, 1)
        self.scale.bias = nn.Parameter(torch.full((1,), 4.4))  # log2 of the usual diameter
        self.to_vector = nn.ModuleList(nn.Conv2d(width, arch.vector, 1) for width in w[1:])
        self.mask_decoder = MaskDecoder(w[0], arch.prompt)

    def encode(self, planes: Tensor) -> list[Tensor]:
        """Return encoder outputs at strides 2, 4, 8, 16, 32 of `planes` (B, P, Y, X)."""
        half, quarter, eighth = self.encode_fine(planes)
        return [half, quarter, *self.encode_coarse(eighth)]

    def encode_fine(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return encoder outputs at strides 2 and 4 and what `encode_coarse` goes on from, at stride 8.

        A position depends on 28 pixels of `planes` around it at most.
        """
        half = self.encoder[0](self.stem(planes))
        quarter = self.encoder[1](self.downs[0](half))
        return half, quarter, self.downs[1](quarter)

    def encode_coarse(self, eighth: Tensor) -> list[Tensor]:
        """Return encoder outputs at strides 8, 16, 32."""
        levels = [self.encoder[2](eighth)]
        for index in (3, 4):
            levels.append(self.encoder[index](self.downs[index - 1](levels[-1])))
        return levels

    def vectors(self, levels: list[Tensor]) -> Tensor:
        """Bring encoder levels together in one map at stride 4: (B, vector, Y/4, X/4)."""
        return join_vectors([head(x) for head, x in zip(self.to_vector, levels[1:], strict=True)])

    def decode(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return flow, cell probability, log diameter and decoder features (see `Dense`) of encoder
        levels.
        """
        return self.decode_fine(self.decode_coarse(levels[2:]), levels[1], levels[0])

    def decode_coarse(self, levels: list[Tensor]) -> Tensor:
        """Return the decoder's output at stride 8 of encoder outputs at strides 8, 16, 32."""
        return self._climb(2, self._climb(3, levels[2], levels[1]), levels[0])

    def decode_fine(
        self, eighth: Tensor, quarter: Tensor, half: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Go on from `decode_coarse` with encoder outputs at strides 4 and 2; see `decode`.

        A pixel depends on what lies 28 pixels around it at most.
        """
        quarter = self._climb(1, eighth, quarter)
        half = self._climb(0, quarter, half)
        out = F.pixel_shuffle(self.dense(half), 2)
        return out[:, :2], out[:, 2:], self.scale(quarter), half

    def _climb(self, index: int, x: Tensor, skip: Tensor) -> Tensor:
        up = F.interpolate(self.ups[index](x), skip.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.decoder[index](F.relu(up.add_(skip), inplace=True))
        return out

    def forward(self, planes: Tensor) -> Dense:
        """Run everything but the mask decoder; Y and X of `planes` are multiples of 32."""
        levels = self.encode(planes)
        return Dense(*self.decode(levels), self.vectors(levels), levels)


def join_vectors(parts: list[Tensor]) -> Tensor:
    """Add maps of falling resolution up at the size of the first; (B, C, h, w)."""
    size, total = parts[0].shape[-2:], parts[0]
    for part in parts[1:]:
        total = total + F.interpolate(part, size, mode="bilinear", align_corners=False)
    return F.gelu(total)


def pool_window(vector_map: Tensor) -> Tensor:
    """Pool maps of single-cell crops: centre-weighted mean, spread and maximum; (B, C, h, w) -> (B, 3 C)."""
    height, width = vector_map.shape[-2:]
    y = (
        torch.linspace(-1, 1, height, device=vector_map.device)
        if height > 1
        else torch.zeros(1, device=vector_map.device)
    )
    x = (
        torch.linspace(-1, 1, width, device=vector_map.device)
        if width > 1
        else torch.zeros(1, device=vector_map.device)
    )
    window = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.45**2))
    window = (window / window.sum()).to(vector_map.dtype)
    mean = (vector_map * window).sum((2, 3))
    variance = ((vector_map - mean[..., None, None]) ** 2 * window).sum((2, 3))
    return torch.cat([mean, torch.sqrt(variance + 1e-5), vector_map.amax((2, 3))], dim=1)


def fuse(network: Network) -> Network:
    """Fold every normalisation into the convolution before it (inference only); returns the same object."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in list(network.modules()):
        if isinstance(module, Residual):
            module.conv1 = fuse_conv_bn_eval(module.conv1, module.norm1)
            module.conv2 = fuse_conv_bn_eval(module.conv2, module.norm2)
            module.norm1 = module.norm2 = nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            module[0] = fuse_conv_bn_eval(module[0], module[1])  # type: ignore[type-var]
            module[1] = nn.Identity()
    return network
