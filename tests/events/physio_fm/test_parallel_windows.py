"""Windows on several cores: the same answers, in order, and torch's threads as they were."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from napari_biofm.events.physio_fm.parallel_windows import ParallelWindows  # noqa: E402


@pytest.mark.parametrize("threads", [1, 2])
def test_shares_come_back_in_order_and_threads_as_they_were(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    seen = []

    def work(windows):
        seen.append((len(windows), torch.get_num_threads()))
        return {"sum": windows.sum(1), "first": windows[:, 0]}

    try:
        windows = np.arange(7 * 16, dtype=np.float32).reshape(7, 16)
        said = ParallelWindows()(work, windows)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(said["sum"], windows.sum(1))
    np.testing.assert_array_equal(said["first"], windows[:, 0])
    assert sorted(n for n, _ in seen) == [1, 2, 2, 2]
    assert all(inside == 1 for _, inside in seen)


def test_a_failure_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    def work(windows):
        raise MemoryError("no room")

    try:
        with pytest.raises(MemoryError, match="no room"):
            ParallelWindows()(work, np.zeros((4, 8), np.float32))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
