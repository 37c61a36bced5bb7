"""MobileSAM: Segment Anything with a small encoder, run by timm's TinyViT; the only file that touches timm.

The checkpoint's encoder is a TinyViT-5M whose last stage keeps the resolution, so that 1024 pixels give
64 x 64 features, followed by the neck of Segment Anything. timm has the same blocks under other names;
prompt encoder and mask decoder are segment-anything's own.

Zhang et al., Faster Segment Anything: towards lightweight SAM for mobile applications, arXiv 2306.14289.
Wu et al., TinyViT, ECCV 2022.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from napari_biofm.images.prompt import sam_api
from napari_biofm.images.prompt.sam import SAM
from napari_biofm.images.segment.adapter import torch_dtype
from napari_biofm.models import device as devices
from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from torch import nn

SIDE = 1024
WIDTHS, DEPTHS, HEADS, WINDOWS = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)
CHANNELS = 256
_ENCODER = "image_encoder."
# what only the classifier used that TinyViT was before, and tables that are computed anew
_UNUSED = re.compile(r"^(head\.|norm_head\.)|attention_bias_idxs$")


class MobileSAM(SAM):
    """Promptable, Embedder and Segmenter on the weights of MobileSAM; parameters as for `SAM`."""

    family = "mobile-sam"

    def _build(self, checkpoint: Checkpoint) -> Any:
        return sam_api.assemble(checkpoint, encoder(), SIDE, CHANNELS, rename).requires_grad_(False).eval()

    def _time_tile(self, net: Any, device: str, dtype: str) -> float:
        import torch

        kind = torch_dtype(dtype)
        model = copy.deepcopy(net.image_encoder).to(device, kind)
        x = torch.zeros(1, 3, SIDE, SIDE, device=device, dtype=kind)
        with torch.inference_mode():
            return devices.timed(lambda: model(x), device, 1)


def encoder() -> nn.Module:
    """Return the encoder without weights: (B, 3, Y, X) to (B, 256, Y / 16, X / 16).

    Raises
    ------
    ModelError
        When timm is not installed.
    """
    try:
        from timm.models.tiny_vit import TinyVit
    except ImportError as error:
        raise ModelError("MobileSAM needs the package timm: pip install 'napari-biofm[mobile]'") from error
    from segment_anything.modeling.common import LayerNorm2d
    from torch import nn

    class Encoder(nn.Module):
        img_size = SIDE

        def __init__(self) -> None:
            super().__init__()
            body = TinyVit(
                num_classes=0,
                embed_dims=WIDTHS,
                depths=DEPTHS,
                num_heads=HEADS,
                window_sizes=WINDOWS,
                drop_path_rate=0.0,
            )
            body.stages[-1].downsample.conv2.conv.stride = (1, 1)
            self.patch_embed, self.layers = body.patch_embed, body.stages
            self.neck = nn.Sequential(
                nn.Conv2d(WIDTHS[-1], CHANNELS, 1, bias=False),
                LayerNorm2d(CHANNELS),
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
                LayerNorm2d(CHANNELS),
            )

        def forward(self, x: Any) -> Any:
            return self.neck(self.layers(self.patch_embed(x)))

    return Encoder()


def rename(key: str) -> str | None:
    """Return what timm calls a tensor of the checkpoint's encoder; None for one that is not needed."""
    if not key.startswith(_ENCODER):
        return key
    key = key.removeprefix(_ENCODER)
    if _UNUSED.search(key):
        return None
    key = key.replace("patch_embed.seq.0.", "patch_embed.conv1.").replace(
        "patch_embed.seq.2.", "patch_embed.conv2."
    )
    key = key.replace(".c.", ".conv.")
    # there a stage ends with the merging of patches, in timm the next one begins with it
    key = re.sub(r"^layers\.(\d)\.downsample", lambda found: f"layers.{int(found[1]) + 1}.downsample", key)
    return f"{_ENCODER}{key}"
