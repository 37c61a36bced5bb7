"""The device is chosen by measuring; what a job costs is told before it starts."""

import pytest

from napari_biofm.models import device
from napari_biofm.types import EngineError


def test_the_faster_precision_wins_when_it_is_clearly_faster():
    plan = device.probe({"float32": 4.0, "bfloat16": 2.0}.__getitem__, "cpu")
    assert (plan.dtype, plan.seconds_per_tile, plan.batch) == ("bfloat16", 2.0, 1)
    assert plan.timings == {"float32": 4.0, "bfloat16": 2.0}


def test_full_precision_stays_when_the_gain_is_small():
    assert device.probe({"float32": 4.0, "bfloat16": 3.8}.__getitem__, "cpu").dtype == "float32"


def test_a_precision_the_device_does_not_know_is_passed_over():
    def time_tile(dtype):
        if dtype == "bfloat16":
            raise RuntimeError("not implemented for BFloat16")
        return 1.0

    assert device.probe(time_tile, "cpu").dtype == "float32"


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
