"""The faster attention gives stock's numbers, on either path."""

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from napari_biofm.images.segment import attention


def _stock(size, table, heads=3, width=36):
    torch.manual_seed(0)
    module = Attention(width, heads, use_rel_pos=True, input_size=(table, table))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3)
    return module.eval(), torch.randn(2, size[0], size[1], width)


@pytest.mark.parametrize("path", ["fused", "in_pieces"])
@pytest.mark.parametrize(
    ("size", "table"),
    [((14, 14), 14), ((32, 32), 32), ((32, 32), 14), ((16, 16), 64)],
    ids=["window", "whole", "stretched table", "squeezed table"],
)
def test_both_paths_equal_stock(monkeypatch, path, size, table):
    module, x = _stock(size, table)
    monkeypatch.setattr(attention, "in_pieces", getattr(attention, path))
    with torch.no_grad():
        expected = module(x)
        found = attention.FoldedAttention(module)(x)
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("piece", [40, 4_000, 1 << 30])
def test_the_size_of_the_pieces_does_not_matter(monkeypatch, piece):
    module, x = _stock((10, 10), 10)
    monkeypatch.setattr(attention, "_PIECE", piece)
    with torch.no_grad():
        assert (attention.FoldedAttention(module)(x) - module(x)).abs().max() < 1e-5


def test_half_precision_stays_close():
    module, x = _stock((16, 16), 16)
    with torch.no_grad():
        expected = module(x)
        found = attention.FoldedAttention(module.to(torch.bfloat16))(x.to(torch.bfloat16)).float()
    assert (found - expected).abs().max() < 0.15 * expected.std()
