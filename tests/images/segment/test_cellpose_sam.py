"""Cellpose-SAM driven by us says what stock Cellpose says, in fewer passes, and can stop and go on."""

import numpy as np
import pytest

from napari_biofm.images.segment.cellpose_sam import CellposeSAM
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.images.tiling.passes import TilePiece
from napari_biofm.types import (
    Embedder,
    ImageError,
    ModelError,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    run_task,
)

DEFAULT = SegmentationParameters()


@pytest.fixture
def ours(small_vit, cpsam_weights):
    def make(**options):
        return CellposeSAM(cpsam_weights, **{"device": "cpu", "dtype": "float32", **options})

    return make


@pytest.fixture
def stock(small_vit, cpsam_weights):
    import inspect

    from cellpose.models import CellposeModel

    options = {"pretrained_model": str(cpsam_weights), "gpu": False}
    if "use_bfloat16" in inspect.signature(CellposeModel).parameters:
        options["use_bfloat16"] = False
    return CellposeModel(**options)


def _count_tiles(model, monkeypatch):
    """Count the tiles that go through the network."""
    counted = []
    forward = model._forward
    monkeypatch.setattr(model, "_forward", lambda tiles: counted.append(len(tiles)) or forward(tiles))
    return counted


@pytest.mark.parametrize("diameter", [None, 45.0, 20.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_flows_and_masks_equal_stock_at_the_same_tiling(ours, stock, blobs, diameter, channels):
    image = blobs if channels == 1 else np.stack([blobs, blobs[::-1], blobs[:, ::-1]], axis=-1)
    parameters = SegmentationParameters(diameter=diameter, flow_threshold=0, cellprob_threshold=-0.5)
    result = run_task(ours(tiling="stock").segment(image, parameters))
    options = {"channel_axis": -1} if channels == 3 else {}
    masks, (_, flows, cell_prob), _ = stock.eval(
        image, diameter=diameter, flow_threshold=0, cellprob_threshold=-0.5, batch_size=1, **options
    )
    assert flows.std() > 0.1 and masks.max() > 0
    assert np.abs(result.flows - flows).mean() < 1e-4
    assert np.abs(result.cell_prob - cell_prob).max() < 1e-3
    # random flows are chaotic: rounding sends a few pixels to another sink
    assert np.mean((result.masks > 0) != (masks > 0)) < 1e-2
    assert abs(int(result.masks.max()) - int(masks.max())) <= 0.05 * masks.max()


def _downhill(tiles):
    """Stand in for a trained network: flows up the blurred image, cells where it is bright."""
    import torch
    from torch.nn.functional import avg_pool2d

    grey = tiles[:, :1].float()
    blurred = grey
    for _ in range(3):
        blurred = avg_pool2d(blurred, 7, 1, 3, count_include_pad=False)
    down, along = torch.gradient(blurred, dim=(2, 3))
    length = torch.sqrt(down**2 + along**2) + 0.02
    return torch.cat([5 * down / length, 5 * along / length, 10 * (blurred - 0.5)], dim=1)


@pytest.mark.parametrize("diameter", [None, 24.0])
def test_meaningful_flows_give_the_masks_of_stock(ours, stock, blobs, diameter, monkeypatch):
    def pretend(net):
        def forward(x):
            net.encoder.neck(x.new_zeros(len(x), net.encoder.neck[0].weight.shape[1], 32, 32))
            return _downhill(x), x.new_zeros(len(x), 256)

        monkeypatch.setattr(net, "forward", forward)

    pretend(stock.net)
    masks = stock.eval(blobs, diameter=diameter, flow_threshold=0)[0]
    assert masks.max() == 25
    for tiling, agreement in (("stock", 0.999), ("fitted", 0.9)):
        model = ours(tiling=tiling)
        pretend(model._load().net)
        parameters = SegmentationParameters(diameter=diameter, flow_threshold=0)
        result = run_task(model.segment(blobs, parameters)).masks
        assert result.max() == masks.max()
        joint = np.histogram2d(result.ravel(), masks.ravel(), (result.max() + 1, masks.max() + 1))[0]
        union = joint.sum(0)[1:] + joint.sum(1)[joint[1:, 1:].argmax(0) + 1] - joint[1:, 1:].max(0)
        assert (joint[1:, 1:].max(0) / union).min() > agreement


def test_it_is_a_segmenter_and_an_embedder(ours):
    model = ours()
    assert isinstance(model, Segmenter) and isinstance(model, Embedder)
    assert model.name == "tiny_cpsam"


def test_every_tile_is_shown_as_it_is_done(ours, blobs):
    model = ours()
    task = model.segment(blobs, DEFAULT, viewport=(250, 280, 300, 330))
    steps = []
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            result = stop.value
            break
    pieces = [step.payload for step in steps if isinstance(step.payload, TilePiece)]
    assert [step.done for step in steps[: len(pieces)]] == list(range(1, len(pieces) + 1))
    assert pieces[0].box[2:] == (300, 330)  # the corner the user looks at came first
    for piece in pieces:
        y0, x0, y1, x1 = piece.box
        assert piece.cell_prob.shape == (y1 - y0, x1 - x0)
    assert result.masks.shape == (300, 330) and result.masks.dtype == np.int32
    assert result.provenance["weights_sha256"] == model.weights_sha256


def test_a_pass_gives_features_for_the_whole_image(ours, blobs):
    model = ours()
    result = run_task(model.segment(blobs, DEFAULT))
    features = result.features
    assert features.data.dtype == np.float16
    height, width = features.data.shape[1:]
    assert height * features.stride >= 300 and width * features.stride >= 330
    assert (height - 1) * features.stride < 300
    embedded = run_task(model.embed(blobs))
    np.testing.assert_array_equal(embedded.data, features.data)


def test_features_are_those_of_the_neck(ours, stock):
    import torch

    rng = np.random.default_rng(3)
    image = rng.normal(size=(256, 256)).astype(np.float32)
    features = run_task(ours().embed(image))
    from cellpose.transforms import normalize_img

    x = np.zeros((1, 3, 256, 256), np.float32)
    x[0, 0] = normalize_img(image[..., None])[..., 0]
    seen = []
    stock.net.encoder.neck.register_forward_hook(lambda m, i, o: seen.append(o.numpy()))
    with torch.no_grad():
        stock.net.eval()(torch.from_numpy(x))
    np.testing.assert_allclose(features.data, seen[0][0], atol=5e-3)
    assert features.stride == 8


def test_thresholds_are_changed_without_the_network(ours, blobs, monkeypatch):
    model = ours()
    first = run_task(model.segment(blobs, SegmentationParameters(flow_threshold=0)))
    counted = _count_tiles(model, monkeypatch)
    changed = SegmentationParameters(flow_threshold=0, cellprob_threshold=0.5, min_size=40)
    second = model.remask(first, changed)
    assert counted == []
    np.testing.assert_array_equal(second.masks, run_task(model.segment(blobs, changed)).masks)
    part = model.remask(first, changed, region=(10, 20, 110, 140))
    assert part.masks.shape == (100, 120)


def test_killed_in_the_middle_only_the_missing_tiles_are_computed(ours, blobs, tmp_path, monkeypatch):
    whole = run_task(ours().segment(blobs, DEFAULT))
    first = ours(store=PassStore(tmp_path)).segment(blobs, DEFAULT)
    total = next(first).total
    next(first)
    first.close()
    model = ours(store=PassStore(tmp_path))
    counted = _count_tiles(model, monkeypatch)
    again = run_task(model.segment(blobs, DEFAULT))
    assert sum(counted) == total - 2
    np.testing.assert_array_equal(again.flows, whole.flows)
    np.testing.assert_array_equal(again.features.data, whole.features.data)
    counted.clear()
    run_task(model.segment(blobs, SegmentationParameters(cellprob_threshold=1)))
    assert counted == []


def test_tiles_of_another_image_are_not_used(ours, blobs, tmp_path, monkeypatch):
    run_task(ours(store=PassStore(tmp_path)).segment(blobs, DEFAULT))
    model = ours(store=PassStore(tmp_path))
    counted = _count_tiles(model, monkeypatch)
    other = blobs.copy()
    other[0, 0] += 1
    run_task(model.segment(other, DEFAULT))
    assert sum(counted) > 0


def test_without_memory_the_batch_is_halved_and_it_says_so(ours, blobs, monkeypatch):
    model = ours(batch=4)
    forward = model._forward

    def small(tiles):
        if len(tiles) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        return forward(tiles)

    monkeypatch.setattr(model, "_forward", small)
    steps = list(model.segment(blobs, DEFAULT))
    assert any("out of memory" in step.message for step in steps)
    assert model.plan.batch == 1


def test_without_memory_on_the_device_the_cpu_takes_over(ours, blobs, monkeypatch):
    from dataclasses import replace

    model = ours()
    model._load().plan = replace(model.plan, device="cuda", batch=1)
    monkeypatch.setattr("napari_biofm.images.tiling.passes.release", lambda device: None)
    forward = model._forward

    def only_cpu(tiles):
        if model._network.plan.device != "cpu":
            raise RuntimeError("CUDA out of memory")
        return forward(tiles)

    monkeypatch.setattr(model, "_forward", only_cpu)
    steps = list(model.segment(blobs, DEFAULT))
    assert any("CPU" in step.message for step in steps)
    assert model.plan.device == "cpu"


def test_time_and_memory_are_told_before_the_start(ours):
    estimate = ours().estimate((512, 512))
    assert estimate.tiles == 4
    assert estimate.seconds > 0 and estimate.memory > 1e6
    assert "4 tiles" in estimate.describe()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, bool])
def test_any_real_dtype_is_taken(ours, blobs, dtype):
    small = blobs[:60, :70]
    image = small > 500 if dtype is bool else (small / 8).astype(dtype)
    assert run_task(ours().segment(image, DEFAULT)).masks.shape == (60, 70)


@pytest.mark.parametrize("shape", [(1, 1), (50, 40), (64, 64, 3)])
def test_a_blank_image_has_no_cells(ours, shape):
    result = run_task(ours().segment(np.full(shape, 7, np.uint8), DEFAULT))
    assert result.masks.shape == shape[:2] and result.masks.max() == 0


def test_images_it_cannot_use_are_refused(ours):
    with pytest.raises(ImageError, match="diameter"):
        run_task(ours().segment(np.eye(9), SegmentationParameters(diameter=-3)))
    with pytest.raises(ImageError, match="channels"):
        run_task(ours(channels=(5,)).segment(np.zeros((9, 9, 3)), DEFAULT))
    with pytest.raises(ImageError, match="no flows"):
        ours().remask(Segmentation(np.zeros((3, 3), np.int32)), DEFAULT)


def test_weights_of_another_shape_are_refused(small_vit, cpsam_weights, tmp_path):
    import torch

    state = torch.load(cpsam_weights, weights_only=True)
    state["out.weight"] = state["out.weight"][:, :10]
    torch.save(state, tmp_path / "odd")
    with pytest.raises(ModelError, match="does not fit"):
        CellposeSAM(tmp_path / "odd", device="cpu").plan  # noqa: B018


@pytest.mark.parametrize("mode", ["stitch", "time", "flows"])
def test_stacks_give_masks_for_every_plane(ours, blobs, mode):
    stack = np.stack([blobs[:80, :90]] * 4) if mode != "flows" else np.stack([blobs[:12, :14]] * 4)
    parameters = SegmentationParameters(flow_threshold=0, cellprob_threshold=-0.5)
    model = ours()
    result = run_task(model.segment_stack(stack, parameters, mode=mode))
    assert result.masks.shape == stack.shape
    if mode == "stitch":  # equal planes: every object goes through all of them
        assert result.masks.max() > 0
        np.testing.assert_array_equal(result.masks[0], result.masks[3])
    if mode == "time":
        first, last = (set(np.unique(result.masks[t])) - {0} for t in (0, 3))
        assert first and not first & last
    if mode != "time":
        again = model.remask(result, parameters)
        np.testing.assert_array_equal(again.masks, result.masks)


@pytest.mark.parametrize("options", [{"stitch_threshold": 0.25}, {"do_3D": True, "anisotropy": 2.0}])
def test_volumes_equal_stock_at_the_same_tiling(ours, stock, blobs, options):
    stack = np.stack([np.roll(blobs[:12, :14], z, axis=1) for z in range(3)])
    parameters = SegmentationParameters(flow_threshold=0, cellprob_threshold=-0.5)
    mode = "flows" if "do_3D" in options else "stitch"
    result = run_task(
        ours(tiling="stock").segment_stack(stack, parameters, mode, anisotropy=options.get("anisotropy", 1.0))
    )
    masks, (_, flows, cell_prob), _ = stock.eval(
        stack, z_axis=0, flow_threshold=0, cellprob_threshold=-0.5, batch_size=1, **options
    )
    assert np.abs(result.flows - flows).mean() < 1e-3
    assert np.abs(result.cell_prob - cell_prob).mean() < 1e-3
    assert abs(int(result.masks.max()) - int(masks.max())) <= 0.05 * masks.max()


@pytest.mark.parametrize("mode", ["stitch", "flows"])
def test_blocks_of_a_volume_see_one_scale_of_intensity(ours, blobs, mode):
    stack = np.stack([blobs[:12, :14]] * 3)
    model = ours()
    whole = run_task(model.segment_stack(stack, DEFAULT, mode))
    limits = np.percentile(stack, (1, 99))[None]
    given = run_task(model.segment_stack(stack, DEFAULT, mode, limits=limits))
    np.testing.assert_allclose(given.cell_prob, whole.cell_prob, atol=1e-3)
    other = run_task(model.segment_stack(stack, DEFAULT, mode, limits=limits * [[1, 3]]))
    assert np.abs(other.cell_prob - whole.cell_prob).max() > 1e-2


def test_on_a_gpu_the_batch_is_planned_for_its_memory(ours, monkeypatch):
    import torch

    model = ours(dtype="auto")
    net = model._load().net
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (600_000_000, 900_000_000))
    monkeypatch.setattr(model, "_time_tile", lambda net, device, dtype: 0.01)
    plan = model._choose(net, "cuda")
    assert (plan.device, plan.dtype, plan.seconds_per_tile) == ("cuda", "bfloat16", 0.01)
    assert plan.batch == 5  # 0.8 of what is free, 80 MB a tile
