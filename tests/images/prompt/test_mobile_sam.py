"""MobileSAM's checkpoint runs in timm's TinyViT: same numbers as its own description, same adapter as SAM."""

import numpy as np
import pytest

from napari_biofm.models.checkpoints import open_checkpoint
from napari_biofm.types import ModelError, Prompt, run_task

pytest.importorskip("timm")
from napari_biofm.images.prompt import mobile_sam
from napari_biofm.images.prompt.mobile_sam import MobileSAM

WIDTHS, DEPTHS, HEADS, WINDOWS = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)


def _names(widths=WIDTHS):
    """Yield name and shape of every tensor of the published encoder."""

    def conv_norm(name, out, inside, size):
        yield f"{name}.c.weight", (out, inside, size, size)
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.bn.{part}", (out,)

    def pair(name, out, inside):
        yield f"{name}.weight", (out, inside)
        yield f"{name}.bias", (out,)

    def norm(name, width):
        yield f"{name}.weight", (width,)
        yield f"{name}.bias", (width,)

    yield from conv_norm("patch_embed.seq.0", widths[0] // 2, 3, 3)
    yield from conv_norm("patch_embed.seq.2", widths[0], widths[0] // 2, 3)
    for i, (width, depth) in enumerate(zip(widths, DEPTHS)):
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            if i == 0:
                yield from conv_norm(f"{block}.conv1", 4 * width, width, 1)
                yield from conv_norm(f"{block}.conv2", 4 * width, 1, 3)
                yield from conv_norm(f"{block}.conv3", width, 4 * width, 1)
                continue
            yield f"{block}.attn.attention_biases", (HEADS[i], WINDOWS[i] ** 2)
            yield from norm(f"{block}.attn.norm", width)
            yield from pair(f"{block}.attn.qkv", 3 * width, width)
            yield from pair(f"{block}.attn.proj", width, width)
            yield from norm(f"{block}.mlp.norm", width)
            yield from pair(f"{block}.mlp.fc1", 4 * width, width)
            yield from pair(f"{block}.mlp.fc2", width, 4 * width)
            yield from conv_norm(f"{block}.local_conv", width, 1, 3)
        if i < 3:
            out = widths[i + 1]
            yield from conv_norm(f"layers.{i}.downsample.conv1", out, width, 1)
            yield from conv_norm(f"layers.{i}.downsample.conv2", out, 1, 3)
            yield from conv_norm(f"layers.{i}.downsample.conv3", out, out, 1)
    yield from norm("norm_head", widths[-1])
    yield from pair("head", 1000, widths[-1])
    yield "neck.0.weight", (256, widths[-1], 1, 1)
    yield from norm("neck.1", 256)
    yield "neck.2.weight", (256, 256, 3, 3)
    yield from norm("neck.3", 256)


@pytest.fixture(scope="module")
def state(small_sam):
    """Random tensors under the names of the published checkpoint."""
    import torch

    generator = torch.Generator().manual_seed(3)
    made = {}
    for name, shape in _names():
        fan = max(1, int(np.prod(shape[1:])))
        values = torch.randn(shape, generator=generator) * fan**-0.5 * 0.7
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            values = 0.8 + 0.2 * torch.rand(shape, generator=generator)
        made[f"image_encoder.{name}"] = values
    rest = small_sam().state_dict()
    made.update({key: value for key, value in rest.items() if not key.startswith("image_encoder.")})
    return made


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    import torch

    path = tmp_path_factory.mktemp("weights") / "mobile_sam.pt"
    torch.save(state, path)
    return path


def _described(state, x):
    """Run the encoder as its paper and checkpoint describe it, from plain functions."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    def get(name):
        return state[f"image_encoder.{name}"]

    def conv_norm(name, x, **how):
        x = F.conv2d(x, get(f"{name}.c.weight"), **how)
        return F.batch_norm(
            x, *(get(f"{name}.bn.{p}") for p in ("running_mean", "running_var", "weight", "bias"))
        )

    def linear(name, x):
        return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], get(f"{name}.weight"), get(f"{name}.bias"))

    def norm_2d(name, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), (256,), get(f"{name}.weight"), get(f"{name}.bias"), 1e-6)
        return x.permute(0, 3, 1, 2)

    def attention(name, x, heads, window):  # x : (windows, tokens, C)
        q, k, v = linear(f"{name}.qkv", norm(f"{name}.norm", x)).unflatten(-1, (heads, -1)).chunk(3, -1)
        at = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        offset = (at[:, None] - at[None]).abs()
        bias = get(f"{name}.attention_biases")[:, offset[..., 0] * window + offset[..., 1]]
        logits = torch.einsum("wqhc,wkhc->whqk", q, k) * q.shape[-1] ** -0.5 + bias
        return linear(f"{name}.proj", torch.einsum("whqk,wkhc->wqhc", logits.softmax(-1), v).flatten(2))

    def block(name, x, heads, window):
        height, width = x.shape[2:]
        wide = F.pad(x, (0, -width % window, 0, -height % window))
        rows, columns = wide.shape[2] // window, wide.shape[3] // window
        cut = wide.unflatten(2, (rows, window)).unflatten(4, (columns, window)).permute(0, 2, 4, 3, 5, 1)
        seen = attention(f"{name}.attn", cut.reshape(-1, window**2, x.shape[1]), heads, window)
        back = seen.view(1, rows, columns, window, window, -1).permute(0, 5, 1, 3, 2, 4)
        x = x + back.reshape(wide.shape)[:, :, :height, :width]
        x = conv_norm(f"{name}.local_conv", x, padding=1, groups=x.shape[1]).permute(0, 2, 3, 1)
        hidden = F.gelu(linear(f"{name}.mlp.fc1", norm(f"{name}.mlp.norm", x)))
        return (x + linear(f"{name}.mlp.fc2", hidden)).permute(0, 3, 1, 2)

    x = F.gelu(conv_norm("patch_embed.seq.0", x, stride=2, padding=1))
    x = conv_norm("patch_embed.seq.2", x, stride=2, padding=1)
    for i, depth in enumerate(DEPTHS):
        for j in range(depth):
            name = f"layers.{i}.blocks.{j}"
            if i:
                x = block(name, x, HEADS[i], WINDOWS[i])
                continue
            y = F.gelu(conv_norm(f"{name}.conv1", x))
            y = F.gelu(conv_norm(f"{name}.conv2", y, padding=1, groups=y.shape[1]))
            x = F.gelu(conv_norm(f"{name}.conv3", y) + x)
        if i < 3:
            name, out = f"layers.{i}.downsample", WIDTHS[i + 1]
            x = F.gelu(conv_norm(f"{name}.conv1", x))
            x = F.gelu(conv_norm(f"{name}.conv2", x, stride=1 if out == 320 else 2, padding=1, groups=out))
            x = conv_norm(f"{name}.conv3", x)
    x = norm_2d("neck.1", F.conv2d(x, get("neck.0.weight")))
    return norm_2d("neck.3", F.conv2d(x, get("neck.2.weight"), padding=1))


def test_the_encoder_gives_the_numbers_of_its_description(state, weights):
    import torch

    net = MobileSAM(weights, "cpu", dtype="float32")._build(open_checkpoint(weights, "mobile-sam"))
    x = torch.randn(1, 3, 160, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, described = net.image_encoder(x), _described(state, x)
    assert ours.shape == (1, 256, 10, 8) and ours.std() > 0.1
    assert (ours - described).abs().max() < 1e-4


def test_it_answers_clicks_as_sam_does(weights):
    from napari_biofm.images.segment.catalogue import make_model

    model = make_model(weights, "cpu")
    assert isinstance(model, MobileSAM)
    image = np.random.default_rng(0).integers(0, 255, (96, 120), np.uint8)
    prepared = run_task(model.prepare(image))
    assert prepared.tiles[0].features.shape == (256, 64, 64)
    masks, scores = model.predict(prepared, Prompt(np.array([[40.0, 50.0]]), np.array([True])))
    assert masks.shape[1:] == (96, 120) and len(scores) == len(masks) == 3
    assert model.estimate((96, 120)).tiles == 1


def test_without_timm_it_says_what_to_install(weights, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm.models.tiny_vit", None)
    with pytest.raises(ModelError, match=r"napari-biofm\[mobile\]"):
        mobile_sam.encoder()


def test_a_mobile_checkpoint_is_not_taken_for_sam(weights):
    from napari_biofm.images.prompt.sam import SAM

    with pytest.raises(ModelError, match="mobile-sam"):
        SAM(weights, "cpu").plan  # noqa: B018
