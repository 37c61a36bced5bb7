"""The network of physio-FM, loaded once and run on windows of resampled traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm import weights as files
from napari_biofm.events.physio_fm.input_encoding import TOKEN_KINDS, encode_input

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.network import PhysioNetwork
    from napari_biofm.events.physio_fm.parallel_windows import ParallelWindows

Outputs = dict[str, NDArray[np.float32]]


class NetworkRunner:
    """The network with its weights; everything else that physio-FM answers is built on `run`.

    Parameters
    ----------
    weights : safetensors with a JSON beside it; None takes the shipped ones.
    device : torch device.
    threads : CPU threads for the network; None leaves torch's own choice.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu", threads: int | None = None) -> None:
        self.path = weights
        self.device, self.threads = device, threads
        self._net: PhysioNetwork | None = None
        self._parallel: ParallelWindows | None = None  # spreads windows over the cores of a CPU
        self._card: Mapping[str, Any] | None = None

    @property
    def card(self) -> Mapping[str, Any]:
        """What the JSON beside the weights says.

        Raises
        ------
        ModelError
            If a file is missing or was changed.
        """
        if self._card is None:
            self._card = files.read_card(self.path or files.STOCK)
        return self._card

    def network(self) -> PhysioNetwork:
        """Return the network, loaded once.

        Raises
        ------
        ModelError
            If a file is missing, was changed, or does not fit its configuration.
        """
        if self._net is None:
            import torch

            if self.threads:
                torch.set_num_threads(self.threads)
            self._net, self._card = files.load(self.path or files.STOCK, self.device)
        return self._net

    def use(self, network: PhysioNetwork, card: Mapping[str, Any]) -> None:
        """Take a network that is not on disk, as training does."""
        self._net, self._card = network, card

    def run(self, x: NDArray[np.float32], rate: float, unit: str, kind: str | None) -> Outputs:
        """Run the network on windows of a resampled trace.

        Parameters
        ----------
        x : (B, T) float32 in `unit`, finite.
        rate : sampling rate of `x`, Hz.
        unit : one of `input_encoding.UNITS`.
        kind : kind of signal, None where it is not known.

        Returns
        -------
        The outputs of the network by name, (B, ...) each, and `scale` (B,), see `encode_input`.
        """
        import torch

        net = self.network()
        known = None if kind is None else TOKEN_KINDS.index(KINDS[kind].network)

        def infer(windows: NDArray[np.float32]) -> Outputs:
            inputs, tokens, _, scale = encode_input(windows, rate, unit, known)
            with torch.inference_mode():
                out = net(torch.from_numpy(inputs).to(self.device), torch.from_numpy(tokens).to(self.device))
            return {k: v.cpu().numpy() for k, v in out.items()} | {"scale": scale}

        if self.device != "cpu":
            return infer(x)
        if self._parallel is None:
            from napari_biofm.events.physio_fm.parallel_windows import ParallelWindows

            self._parallel = ParallelWindows()
        return self._parallel(infer, x)
