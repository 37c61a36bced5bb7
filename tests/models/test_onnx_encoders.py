"""ONNX encoders from outside: what is refused, and that vectors are those of the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.cells.embed.embeddings import crop_encoder
from napari_biofm.cli import main
from napari_biofm.models.onnx_files import check_onnx, read_description
from napari_biofm.types import ImageError, ModelError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SAID = {"input": "crops", "size": 8, "channels": 2, "scale": "none", "licence": "MIT"}


def written(folder: Path, nodes: list[Any] | None = None, weights: Any = None, **said: Any) -> Path:
    """The mean over a plane of a 1x1 convolution, as (N, 3, 1, 1); pooled by the description."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    w = np.arange(6, dtype=np.float32).reshape(3, 2, 1, 1)
    nodes = nodes or [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", real, ["n", 2, 8, 8])],
        [helper.make_tensor_value_info("y", real, ["n", 3, 1, 1])], [weights or onnx.numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    domains = {node.domain for node in nodes} | {""}
    opsets = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in sorted(domains)]
    path = folder / "lab.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    path.with_suffix(".json").write_text(json.dumps({**SAID, "pool": "mean", **said}))
    return path


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))


def test_an_imported_encoder_gives_the_vectors_of_its_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(written(tmp_path))]) == 0
    assert main(["models", "list", "--json"]) == 0
    assert "lab" in {row["name"] for row in json.loads(capsys.readouterr().out.partition("\n")[2])}
    encoder = crop_encoder("lab")
    crops = np.random.default_rng(0).random((20, 8, 8, 2)).astype(np.float32)
    means = crops.mean((1, 2))
    expected = means @ np.arange(6, dtype=np.float32).reshape(3, 2).T
    np.testing.assert_allclose(encoder.crop_vectors(crops), expected, rtol=1e-5)
    np.testing.assert_allclose(encoder.crop_vectors(crops[5:6]), expected[5:6], rtol=1e-5)
    one = encoder.crop_vectors(np.ones((2, 16, 16), np.float32))  # resized, the one channel repeated
    np.testing.assert_allclose(one, [[1, 5, 9]] * 2, rtol=1e-5)
    with pytest.raises(ImageError, match="takes 2 channels"):
        encoder.crop_vectors(np.ones((1, 8, 8, 3), np.float32))


def test_mean_std_and_scale_of_the_description_are_applied(tmp_path: Path) -> None:
    main(
        [
            "models",
            "import",
            str(written(tmp_path, scale="crop", mean=[0.5, 0.5], std=[0.5, 0.25])),
            "--name",
            "b",
        ]
    )
    crops = np.zeros((1, 8, 8, 2), np.float32)
    crops[0, :, :4] = 7
    np.testing.assert_allclose(crop_encoder("b").crop_vectors(crops), [[0, 0, 0]], atol=1e-6)


def test_custom_operators_and_external_data_are_refused(tmp_path: Path) -> None:
    custom = onnx.helper.make_node("Evil", ["x", "w"], ["y"], domain="com.other")
    with pytest.raises(ModelError, match="com.other.Evil, which is not part of ONNX"):
        check_onnx(written(tmp_path, [custom]))
    outside = onnx.numpy_helper.from_array(np.zeros((3, 2, 1, 1), np.float32), "w")
    outside.ClearField("raw_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(ModelError, match="keeps 'w' in another file"):
        check_onnx(written(tmp_path, weights=outside))
    inside = onnx.helper.make_node("Constant", [], ["y"], value=outside)
    with pytest.raises(ModelError, match="in another file"):
        check_onnx(written(tmp_path, [inside]))
    assert main(["models", "import", str(written(tmp_path, [custom]))]) == 1
    assert not (tmp_path / "models").exists()
    (tmp_path / "text.onnx").write_text("import os")
    for name in ("text.onnx", "absent.onnx"):
        with pytest.raises(ModelError, match=name):
            check_onnx(tmp_path / name)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"input": "volumes"}, "input is 'volumes'"),
        ({"size": 0}, "size is 0"),
        ({"channels": 2.0}, "channels is 2.0"),
        ({"size": 10**9}, "from 1 to 1024"),
        ({"mean": [1]}, "mean must be 2 numbers"),
        ({"std": [0, 1]}, "above 0"),
        ({"code": "x"}, "code is not understood"),
        ({"pool": "max"}, "pool is 'max'"),
    ],
)
def test_descriptions_that_are_not_understood_are_refused(
    tmp_path: Path, said: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError, match=told):
        read_description(written(tmp_path, **said).with_suffix(".json"))


def test_a_missing_description_and_a_graph_that_gives_no_vectors_are_told(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="lab.json is missing"):
        read_description(path.with_suffix(".json"))
    main(["models", "import", str(written(tmp_path, pool="")), "--name", "c"])
    with pytest.raises(ModelError, match=r"gives \(1, 3, 1, 1\) for 1 crops"):
        crop_encoder("c").crop_vectors(np.ones((1, 8, 8, 2), np.float32))
