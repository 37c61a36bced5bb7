"""Weights on disk: safetensors (fp16) and, beside it, a JSON that explains and seals them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.files import atomic_write, write_text
from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.types import ModelError

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.network import PhysioNetwork

SIZES = {
    "widths": 3,
    "depths": 5,
    "condition": 0,
}  # of the network: how many numbers; 0 for one that is no list
LARGEST, HIGHEST = 2048, 1e6
STOCK = Path(__file__).resolve().parents[2] / "weights" / "physio.safetensors"


def read_card(weights: Path) -> dict[str, Any]:
    """Return the JSON beside the weights.

    Raises
    ------
    ModelError : a file is missing, or the weights are not those the JSON was written for.
    """
    card_path = weights.with_suffix(".json")
    for path in (weights, card_path):
        if not path.exists():
            raise ModelError(
                f"{path.name} not found in {path.parent}; reinstall napari-biofm or name the weights."
            )
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no text at all
        raise ModelError(f"{card_path.name} is not valid JSON ({error}); restore it.") from error
    if not isinstance(card, dict):
        raise ModelError(f"{card_path.name} holds no description of weights; restore it.")
    found = sha256_of(weights)
    if card.get("sha256") != found:
        raise ModelError(
            f"{weights.name} has sha256 {found[:12]}..., {card_path.name} expects "
            f"{str(card.get('sha256'))[:12]}...: "
            "the weights were changed or damaged; restore both files."
        )
    return card


def stock_hash() -> str:
    """Return the sha256 that the card of the shipped weights states; "" where the card is gone."""
    try:
        return str(json.loads(STOCK.with_suffix(".json").read_text())["sha256"])
    except (OSError, ValueError, KeyError):
        return ""


def write(weights: Path, net: PhysioNetwork, card: dict[str, Any]) -> None:
    """Write weights in fp16 and their card."""
    import torch
    from safetensors.torch import save_file

    with atomic_write(weights) as temporary:
        save_file({k: v.to(torch.float16).contiguous() for k, v in net.state_dict().items()}, temporary)
    card = card | {"config": net.config, "sha256": sha256_of(weights)}
    write_text(weights.with_suffix(".json"), json.dumps(card, indent=1) + "\n")


def load(weights: Path, device: str = "cpu") -> tuple[PhysioNetwork, dict[str, Any]]:
    """Return the network, ready to run in single precision, and its card.

    Raises
    ------
    ModelError : see `read_card`; also where the JSON lacks something, or the tensors do not fit it.
    """
    from napari_biofm.events.physio_fm.network import PhysioNetwork
    from napari_biofm.models.checkpoints import read_tensors

    card = read_card(weights)
    check_card(card, weights.with_suffix(".json"))
    net = PhysioNetwork(**card["config"])
    try:
        net.load_state_dict({k: v.float() for k, v in read_tensors(weights).items()})
    except RuntimeError as error:
        raise ModelError(f"{weights.name} does not fit its configuration: {str(error)[:200]}") from error
    return net.eval().to(device), card


def check_card(card: Mapping[str, Any], path: Path) -> None:
    """Raise ModelError where the JSON beside weights lacks what the network or its decoding needs.

    Parameters
    ----------
    card : from `read_card`.
    path : of the JSON, for the message.

    Raises
    ------
    ModelError
        If sizes are impossible, or a table of kinds is none.
    """
    config = card.get("config")
    wrong = ""
    if not isinstance(config, dict) or set(config) != set(SIZES):
        wrong = f"config must hold {', '.join(SIZES)}"
    else:
        for name, n in SIZES.items():
            sizes = config[name] if n else [config[name]]
            whole = isinstance(sizes, list) and len(sizes) == (n or 1) and all(type(v) is int for v in sizes)
            if not whole or not all(0 < v <= LARGEST for v in sizes):
                wrong = f"{name} of config must be {n or 'one'} whole numbers from 1 to {LARGEST}"
    for name, kind in (("calibration", dict), ("presets", dict), ("rungs", list)):
        table = card.get(name)
        if not isinstance(table, dict) or not all(isinstance(one, kind) for one in table.values()):
            wrong = wrong or f"{name} must be a table by kind of signal"
        elif not all(_plain(v) for one in table.values() for v in (one.values() if kind is dict else one)):
            wrong = wrong or f"{name} holds something that is no number"
    if wrong:
        raise ModelError(f"{path.name}: {wrong}; restore it.")


def _plain(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= HIGHEST  # type: ignore[arg-type]
