"""The device is chosen by measuring; what a job costs is told before it starts."""

import pytest

from napari_biofm.models import device, timings
from napari_biofm.types import EngineError


def test_the_faster_precision_wins_when_it_is_clearly_faster():
    plan = device.probe({"float32": 4.0, "bfloat16": 2.0}.__getitem__, "cpu", ["float32", "bfloat16"])
    assert (plan.dtype, plan.seconds_per_tile, plan.batch) == ("bfloat16", 2.0, 1)
    assert plan.timings == {"float32": 4.0, "bfloat16": 2.0}


def test_full_precision_stays_when_the_gain_is_small():
    plan = device.probe({"float32": 4.0, "bfloat16": 3.8}.__getitem__, "cpu", ["float32", "bfloat16"])
    assert plan.dtype == "float32"


def test_a_precision_the_device_does_not_know_is_passed_over():
    def time_tile(dtype):
        if dtype == "bfloat16":
            raise RuntimeError("not implemented for BFloat16")
        return 1.0

    assert device.probe(time_tile, "cpu", ["float32", "bfloat16"]).dtype == "float32"


@pytest.mark.parametrize(
    ("seconds", "tried"), [([1.0, 1.4], ("float32", "bfloat16")), ([1.0, 10.0], ("float32",))]
)
def test_a_processor_without_units_for_bfloat16_is_not_tried_with_it(monkeypatch, seconds, tried):
    times = iter(seconds)
    monkeypatch.setattr(device, "timed", lambda run, where: next(times))
    device._has_quick_bfloat16.cache_clear()
    assert device.candidates("cpu") == tried
    device._has_quick_bfloat16.cache_clear()


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(EngineError, match="quantum"):
        device.pick_device("quantum")


def test_auto_finds_a_device():
    assert device.pick_device("auto") in ("cpu", "cuda", "mps")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_running_out_of_memory_is_recognised(error):
    assert device.is_out_of_memory(error)


def test_another_error_is_not_taken_for_it():
    assert not device.is_out_of_memory(RuntimeError("shapes do not match"))


def test_an_estimate_speaks_plainly():
    estimate = device.Estimate(16, 64.0, 2_500_000_000, 8_000_000_000, "cpu", "float32")
    assert estimate.fits
    assert estimate.describe() == "16 tiles, about 64 s, 2.5 GB of 8.0 GB free on cpu (float32)"


def test_too_little_memory_is_seen_before_the_start():
    assert not device.Estimate(1, 1.0, 9_000_000_000, 8_000_000_000, "cpu", "float32").fits


@pytest.mark.parametrize(("knows_bf16", "tried"), [(True, ["bfloat16"]), (False, ["float32", "float16"])])
def test_a_gpu_is_chosen_first_and_runs_in_a_precision_it_knows(monkeypatch, knows_bf16, tried):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: knows_bf16)
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda where: (7_000 if where == "cuda" else 5_000, 9_000)
    )
    assert device.pick_device("auto") == "cuda" and device.pick_device("cuda:1") == "cuda:1"
    assert device.free_memory("cuda") == 7_000 and device.free_memory("cuda:1") == 5_000
    asked = []
    plan = device.probe(lambda dtype: asked.append(dtype) or 1.0, "cuda")
    assert asked == tried and plan.dtype == tried[0]
    assert plan.batch == 8 and plan.device == "cuda"


def test_memory_that_runs_out_in_the_probe_is_not_a_precision_it_does_not_know():
    def time_tile(dtype):
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        device.probe(time_tile, "cpu")


@pytest.mark.parametrize(("fewer", "kept"), [(0.5, 4), (0.95, 8)])
def test_fewer_threads_are_taken_where_they_are_clearly_faster(monkeypatch, fewer, kept):
    import torch

    threads = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    assert device.probe_threads(lambda: fewer, 1.0) == (fewer if kept == 4 else 1.0)
    assert device.thread_count() == kept


def test_the_batch_fits_the_memory_that_is_free():
    assert device.batch_that_fits(8, 80_000_000_000, 1_200_000_000, 160_000_000) == 8
    assert device.batch_that_fits(8, 2_000_000_000, 1_200_000_000, 160_000_000) == 2
    assert device.batch_that_fits(8, 1_000_000_000, 1_200_000_000, 160_000_000) == 1
    assert device.batch_that_fits(8, None, 1, 1) == 8


def test_a_busy_moment_does_not_change_the_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path))
    names = ["float32", "bfloat16"]
    quiet = device.probe({"float32": 4.0, "bfloat16": 2.0}.__getitem__, "cpu", names, network="net")
    busy = device.probe({"float32": 5.0, "bfloat16": 9.0}.__getitem__, "cpu", names, network="net")
    other = device.probe({"float32": 5.0, "bfloat16": 9.0}.__getitem__, "cpu", names, network="another")
    assert (quiet.dtype, busy.dtype, other.dtype) == ("bfloat16", "bfloat16", "float32")
    assert busy.seconds_per_tile == 9.0, "an estimate tells what it takes now"


def test_a_precision_that_was_tried_before_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path))
    device.probe({"float32": 4.0, "bfloat16": 2.0}.__getitem__, "cpu", ["float32", "bfloat16"], network="net")
    monkeypatch.setattr(device, "candidates", lambda _: ("float32",))
    assert (
        device.probe({"float32": 4.0, "bfloat16": 2.1}.__getitem__, "cpu", network="net").dtype == "bfloat16"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}', '{"a": {"float32": "x"}}'])
def test_a_damaged_file_of_times_is_an_empty_one(tmp_path, monkeypatch, text):
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path))
    timings.timings_file().write_text(text)
    assert timings.known("a") == {}
    assert timings.shortest("a", {"float32": 1.0}) == {"float32": 1.0} == timings.known("a")


def test_on_mps_what_its_kernels_misread_is_left_out():
    import torch

    assert device.candidates("mps") == ("float32", "bfloat16")
    assert device.memory_format("mps") is torch.contiguous_format
    assert device.memory_format("cuda:1") is device.memory_format("cpu") is torch.channels_last
