"""Export the shipped network to ONNX and check that it says the same.

`python training/physio/export_onnx.py --out physio.onnx` (needs onnx and onnxruntime). Inputs `inputs` (B,
3, T) and `tokens` (B, 18); B and T are those of the example, a window of 4096 samples by default.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from napari_biofm.events.physio_fm import weights  # noqa: E402
from napari_biofm.events.physio_fm.input_encoding import N_INPUTS, N_TOKENS  # noqa: E402


class Plain(nn.Module):
    """The network with a tuple for an answer."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return sample, token and window outputs and the features."""
        out = self.net(inputs, tokens)
        return out["sample"], out["token"], out["window"], out["features"]


def export(net: nn.Module, path: Path, samples: int = 4096) -> float:
    """Write ONNX; return the largest absolute difference of its answers to torch's on random windows."""
    import onnxruntime

    example = torch.randn(2, N_INPUTS, samples), torch.randn(2, N_TOKENS)
    plain = Plain(net).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            plain,
            example,
            str(path),
            input_names=["inputs", "tokens"],
            output_names=["sample", "token", "window", "features"],
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    said = session.run(None, {"inputs": example[0].numpy(), "tokens": example[1].numpy()})
    with torch.inference_mode():
        expected = plain(*example)
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(said, expected, strict=True))


def main() -> None:
    """Export and tell the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=weights.STOCK)
    arguments = parser.parse_args()
    net, _ = weights.load(arguments.weights)
    sys.stdout.write(f"largest difference {export(net, arguments.out):.2e}\n")


if __name__ == "__main__":
    main()
