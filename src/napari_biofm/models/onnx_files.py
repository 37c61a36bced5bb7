"""ONNX encoders from outside: checked as data before they are run, described by a small JSON beside them.

A file is refused that asks for operators of others than ONNX itself, that keeps weights in other files, or that is larger
than protobuf allows. The graph is then run by onnxruntime, which has no operator that reads files or opens connections.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_biofm.types import ModelError

MAX_BYTES = (2 << 30) - 1  # of a protobuf message
MAX_SIDE, MAX_CHANNELS = 1024, 16
STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # domains of operators
SCALES = ("crop", "none")
POOLS = ("", "first", "mean")
FIELDS = ("input", "size", "channels", "scale", "mean", "std", "pool", "licence", "title", "source")


@dataclass(frozen=True)
class OnnxDescription:
    """What goes into an encoder and what comes out.

    Attributes
    ----------
    size, channels : of the crops it takes, (N, channels, size, size) float32.
    scale : `crop` brings each crop to 0 to 1 by its own minimum and maximum; `none` leaves values as they are.
    mean, std : per channel, taken off and divided by after scaling.
    pool : how tokens (N, tokens, d) or maps (N, d, y, x) become one vector: `first`, `mean`; empty for (N, d).
    licence, title : as shown to the user.
    """

    size: int
    channels: int
    scale: str = "crop"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pool: str = ""
    licence: str = ""
    title: str = ""


def read_description(path: Path) -> OnnxDescription:
    """Read the JSON that describes an encoder.

    Parameters
    ----------
    path : of the JSON.

    Raises
    ------
    ModelError
        If it is missing, or says something that is not understood; names the field and what it may be.
    """
    if not path.is_file():
        raise ModelError(
            f'{path} is missing: it says what goes into the encoder, such as {{"input": "crops", "size": 224, '
            '"channels": 3, "licence": "MIT"}.'
        )
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size < 1 << 20 else None
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no JSON ({error}).") from error
    if not isinstance(said, dict):
        raise ModelError(f"{path} holds no description: an object with {', '.join(FIELDS)} is needed.")
    unknown = sorted(set(said) - set(FIELDS))
    if unknown:
        raise ModelError(f"{path}: {', '.join(unknown)} is not understood; use {', '.join(FIELDS)}.")
    if said.get("input") != "crops":
        raise ModelError(f'{path}: input is {said.get("input")!r}; encoders of "crops" can be run.')
    channels = _whole(said, "channels", MAX_CHANNELS, path)
    for field in ("scale", "pool"):
        allowed = SCALES if field == "scale" else POOLS
        if said.get(field, allowed[0]) not in allowed:
            raise ModelError(
                f"{path}: {field} is {said[field]!r}; use one of {', '.join(a or 'empty' for a in allowed)}."
            )
    numbers = {}
    for field in ("mean", "std"):
        values = said.get(field, [])
        plain = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if (
            not plain
            or len(values) not in (0, channels)
            or (field == "std" and any(not v > 0 for v in values))
        ):
            raise ModelError(
                f"{path}: {field} must be {channels} numbers, one a channel{', above 0' * (field == 'std')}."
            )
        numbers[field] = tuple(float(v) for v in values)
    return OnnxDescription(
        _whole(said, "size", MAX_SIDE, path),
        channels,
        said.get("scale", "crop"),
        numbers["mean"],
        numbers["std"],
        said.get("pool", ""),
        str(said.get("licence", "")),
        str(said.get("title", "")),
    )


def _whole(said: dict[str, Any], field: str, most: int, path: Path) -> int:
    value = said.get(field)
    if type(value) is not int or not 1 <= value <= most:
        raise ModelError(f"{path}: {field} is {value!r}; a whole number from 1 to {most} is needed.")
    return value


def check_onnx(path: Path) -> None:
    """Raise ModelError for a file that is not one whole graph of standard operators.

    Parameters
    ----------
    path : of the `.onnx` file; nothing of it is run.

    Raises
    ------
    ModelError
        If it is too large, no ONNX, needs custom operators or keeps tensors in other files.
    """
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            "ONNX encoders need onnx and onnxruntime: pip install napari-biofm[onnx]."
        ) from error
    if not path.is_file():
        raise ModelError(f"{path} does not exist.")
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(f"{path.name} is larger than 2 GB, which an ONNX file cannot be.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises errors of its own kinds
        raise ModelError(f"{path.name} is no ONNX file ({type(error).__name__}).") from error
    if not model.graph.node:
        raise ModelError(f"{path.name} holds no graph.")
    if model.functions:
        raise ModelError(f"{path.name} defines operators of its own; export it with standard operators only.")
    for node, tensors in _parts(model.graph):
        if node is not None and node.domain not in STANDARD:
            raise ModelError(
                f"{path.name} needs the operator {node.domain}.{node.op_type}, which is not part of ONNX; "
                "export it with standard operators only."
            )
        for tensor in tensors:
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                raise ModelError(
                    f"{path.name} keeps {tensor.name!r} in another file; save the model as one file."
                )


def _parts(graph: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yield every node with its tensors, those of graphs inside nodes too."""
    sparse = [t for s in graph.sparse_initializer for t in (s.values, s.indices)]
    yield None, [*graph.initializer, *sparse]
    for node in graph.node:
        tensors, inner = [], []
        for attribute in node.attribute:
            tensors += [
                attribute.t,
                *attribute.tensors,
                attribute.sparse_tensor.values,
                attribute.sparse_tensor.indices,
            ]
            tensors += [t for s in attribute.sparse_tensors for t in (s.values, s.indices)]
            inner += [attribute.g, *attribute.graphs]
        yield node, tensors
        for one in inner:
            yield from _parts(one)
