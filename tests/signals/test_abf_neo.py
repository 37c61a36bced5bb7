"""ABF files give what neo gives: the same numbers to the last bit, and the same scale to float32.

neo multiplies in float64 and rounds, pyabf in float32 as the maker does; the two differ in the last bit of
some values, so that only the stored numbers can equal both.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import read_recording

ABF = Path(__file__).parents[2].parent / "shared" / "data" / "ephys" / "abf"
FILES = sorted(ABF.glob("*.abf"))
# neo reads these two otherwise, pyabf as we do: one sweep of 3 and of 50, and another rate in the first
FEWER_IN_NEO = {"130618-1-12.abf", "invalidDate-abf1.abf"}
UNITS = {"deg C": "degC", "?": ""}  # neo's names

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FILES, reason="../shared/data/ephys/abf is not here"),
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_numbers_scales_rates_and_starts_equal_neo(path: Path) -> None:
    rawio = pytest.importorskip("neo.rawio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = rawio.AxonRawIO(str(path))
        try:
            peer.parse_header()
        except ValueError as error:  # releases such as 0.14.1
            pytest.skip(f"this release of neo refuses the date: {error}")
    ours, channels = read_recording(path), peer.header["signal_channels"]
    assert len(channels) == ours.n_channels
    assert [UNITS.get(c.unit, c.unit) for c in ours.channels] == [
        UNITS.get(str(u), str(u)) for u in channels["units"]
    ]
    if path.name in FEWER_IN_NEO:
        assert peer.segment_count(0) < ours.n_sweeps
        return
    assert [c.sampling_rate for c in ours.channels] == [float(r) for r in channels["sampling_rate"]]
    scales = np.array([ours.scale(i) for i in range(ours.n_channels)])
    np.testing.assert_allclose(scales[:, 0], channels["gain"], rtol=2e-7)
    reach = np.abs(scales[:, 0]) * 2**16  # of the converter
    assert (np.abs(scales[:, 1] - channels["offset"]) <= 2e-7 * np.maximum(reach, np.abs(scales[:, 1]))).all()
    assert peer.segment_count(0) == ours.n_sweeps
    first = peer.get_signal_t_start(0, 0, 0)  # neo counts the wait before the first sweep in some files
    for sweep in sorted({0, ours.n_sweeps // 2, ours.n_sweeps - 1}):
        n = ours.n_samples(sweep, 0)
        assert peer.get_signal_size(0, sweep, 0) == n
        start = peer.get_signal_t_start(0, sweep, 0) - first
        assert ours.sweep_starts[sweep] - ours.sweep_starts[0] == pytest.approx(start, abs=1e-5)
        for begin in sorted({0, max(n - 20_000, 0)}):
            end = min(begin + 20_000, n)
            stored = peer.get_analogsignal_chunk(0, sweep, begin, end, stream_index=0)
            for channel in range(ours.n_channels):
                np.testing.assert_array_equal(ours.raw(sweep, channel, begin, end), stored[:, channel])
