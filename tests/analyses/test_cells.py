"""Analyses of cells against simulated truth: curation, responses, populations, beats."""

import itertools

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.signals import Recording
from napari_biofm.types import BiofmError, Events

RATE = 20.0


def recording(values, rate=RATE, masks=None, unit="dF/F"):
    labels = np.arange(1, len(values) + 1)
    return Recording.from_arrays(
        np.asarray(values, np.float32), rate, [unit] * len(values), labels=labels, rois=masks
    )


def events_at(times):
    from napari_biofm.types import MEASURED_DTYPE

    rows = [(k, t) for k, mine in enumerate(times) for t in mine]
    table: Events = np.zeros(len(rows), MEASURED_DTYPE)
    table["channel"], table["time_s"], table["class"] = [k for k, _ in rows], [t for _, t in rows], "calcium"
    return table


def activity(rng, n, t, rate=RATE, tau=0.5, per_s=0.1):
    kernel = np.exp(-np.arange(int(4 * tau * rate)) / (tau * rate))
    trains = rng.random((n, t)) < per_s / rate
    return np.array([np.convolve(one, kernel)[:t] for one in trains.astype(float)])


# responses


@pytest.fixture(scope="module")
def stimulated():
    rng = np.random.default_rng(0)
    n, t = 24, 4000
    at = np.arange(6, 190, 4.7)
    angles = rng.choice([0, 45, 90, 135], len(at))
    values = 0.6 * activity(rng, n, t) + rng.normal(0, 0.15, (n, t))
    kernel = np.exp(-np.arange(40) / 10)
    for k in range(8):  # answer to one angle each
        for s, angle in zip(at, angles, strict=True):
            if angle == 45 * (k % 4):
                i = int(s * RATE)
                values[k, i : i + 40] += 0.8 * kernel[: t - i][:40]
    return recording(values), at, angles


def test_cells_that_answer_are_told_with_their_stimulus(stimulated, tmp_path):
    traces, at, angles = stimulated
    table = tmp_path / "stimuli.csv"
    table.write_text("time_s,angle\n" + "\n".join(f"{s},{a}" for s, a in zip(at, angles, strict=True)))
    found = biofm.analyse("responsive-cells", traces, stimuli=str(table), value="angle", shuffles=300)
    assert found.table["responsive"][:8].sum() >= 7
    assert found.table["responsive"][8:].sum() <= 1
    assert (found.table["preferred"][:8].astype(float) == 45 * (np.arange(8) % 4)).all()
    assert (found.table["selectivity"][:8] > 0.6).all() and (found.table["tuned_p"][:8] < 0.05).all()
    assert np.isfinite(found.table["ci_low"]).all() and len(found.plots) == 2


def test_without_responses_p_is_even_and_nothing_is_found():
    rng = np.random.default_rng(3)
    traces = recording(0.6 * activity(rng, 100, 2400) + rng.normal(0, 0.15, (100, 2400)))
    found = biofm.analyse(
        "responsive-cells", traces, times=",".join(map(str, np.arange(5, 110, 5.3))), shuffles=200
    )
    assert found.table["responsive"].sum() == 0
    assert 0.35 < found.table["p"].mean() < 0.65


def test_what_lacks_for_responses_is_named(stimulated, tmp_path):
    traces, *_ = stimulated
    with pytest.raises(BiofmError, match="when were the stimuli"):
        biofm.analyse("responsive-cells", traces)
    with pytest.raises(BiofmError, match="1 stimuli lie inside"):
        biofm.analyse("responsive-cells", traces, times="10, 5000")
    bad = tmp_path / "bad.csv"
    bad.write_text("begin,angle\n1,2\n")
    with pytest.raises(BiofmError, match="no column time_s; it has begin, angle"):
        biofm.analyse("responsive-cells", traces, stimuli=str(bad))


# populations


@pytest.fixture(scope="module")
def groups():
    """Three groups of eight cells, shuffled, and six on their own."""
    rng = np.random.default_rng(1)
    t = 6000
    shared = activity(rng, 3, t, per_s=0.15)
    member = rng.permutation(np.repeat([1, 2, 3, 0], [8, 8, 8, 6]))
    own = activity(rng, len(member), t, per_s=0.08)
    values = np.array([own[i] * 0.5 + (shared[m - 1] if m else 0) for i, m in enumerate(member)])
    return recording(values + rng.normal(0, 0.2, values.shape)), member


def same_groups(found, true):
    pairs = {(a, b) for a, b in zip(found.tolist(), true.tolist(), strict=True) if b}
    return len(pairs) == 3 and len({a for a, _ in pairs}) == 3


def test_correlations_find_the_groups(groups):
    traces, member = groups
    found = biofm.analyse("correlations", traces)
    order = found.table["cell"] - 1
    assert same_groups(found.table["cluster"], member[order])
    assert np.isclose(found.table[f"r_{order[0] + 1}"][0], 1)
    blocks = member[order]
    assert sum(a != b for a, b in itertools.pairwise(blocks)) <= 9  # cells of a group lie together
    drawn = found.plots[0]
    assert drawn.names == tuple(map(str, found.table["cell"])) and drawn.matrix_range == (-1, 1)
    np.testing.assert_allclose(drawn.matrix[3], [found.table[f"r_{c}"][3] for c in found.table["cell"]])


@pytest.mark.parametrize("method", ["ica", "nmf"])
def test_assemblies_are_counted_and_their_cells_named(groups, method):
    traces, member = groups
    found = biofm.analyse("assemblies", traces, method=method, member=1.0)
    assert "weight_3" in found.table and "weight_4" not in found.table
    assembly = found.table["assembly"]
    for k in (1, 2, 3):
        mine = assembly[member == k]
        assert (mine == np.bincount(mine).argmax()).mean() >= 0.9 and np.bincount(mine).argmax() > 0


def test_independent_cells_have_no_assembly():
    rng = np.random.default_rng(5)
    traces = recording(activity(rng, 20, 3000) + rng.normal(0, 0.2, (20, 3000)))
    found = biofm.analyse("assemblies", traces)
    assert not found.table["assembly"].any() and "no component exceeds chance" in found.summary


def test_the_order_puts_groups_together(groups):
    traces, member = groups
    found = biofm.analyse("raster-order", traces, method="tree")
    row = np.empty(len(member), int)
    row[found.table["position"]] = member
    assert sum(a != b for a, b in itertools.pairwise(row)) <= 9


def test_synchrony_finds_what_was_put_in_and_nothing_else():
    rng = np.random.default_rng(2)
    n, seconds = 30, 300
    own = [np.sort(rng.uniform(0, seconds, 20)) for _ in range(n)]
    together = np.array([50.1, 120.1, 222.1])
    traces = recording(np.zeros((n, int(seconds * RATE))))
    apart = biofm.analyse("synchrony", traces, events=events_at(own), shuffles=200)
    assert not apart.table["synchronous"].any()
    with_them = [
        np.sort(np.r_[mine, together + 0.02 * rng.random(3)]) if k < 12 else mine
        for k, mine in enumerate(own)
    ]
    found = biofm.analyse("synchrony", traces, events=events_at(with_them), shuffles=200)
    at = found.table["time_s"][found.table["synchronous"]]
    assert len(at) == 3 and np.abs(at - together).max() < 0.2


# curation


def discs():
    y, x = np.mgrid[:60, :90]
    masks = np.zeros((60, 90), np.int32)
    for k, (cy, cx) in enumerate([(15, 15), (15, 45), (45, 15)], 1):
        masks[(y - cy) ** 2 + (x - cx) ** 2 <= 49] = k
    masks[45:47, 40:85] = 4  # a vessel
    masks[(y - 15) ** 2 + (x - 56) ** 2 <= 9] = 5  # the edge of cell 2
    return masks


def test_cells_are_rejected_for_the_reason_they_are_bad(tmp_path):
    rng = np.random.default_rng(4)
    values = activity(rng, 5, 4000, per_s=0.1) + rng.normal(0, 0.1, (5, 4000))
    values[2] = rng.normal(0, 0.1, 4000)
    values[4] = values[1] + rng.normal(0, 0.02, 4000)
    iscell = tmp_path / "iscell.npy"
    traces = recording(values, masks=discs())
    events = events_at([np.arange(5, 190, 10.0)] * 5)
    found = biofm.analyse("curate", traces, events=events, write_iscell=str(iscell))
    assert found.table["accepted"].tolist() == [True, True, False, False, False]
    assert found.table["reason"].tolist()[2:] == ["signal to noise", "shape", "part of cell 2"]
    assert found.table["events_per_min"] == pytest.approx([19 / (200 / 60)] * 5)
    assert found.table["compactness"][0] < 1.05 < 1.6 < found.table["compactness"][3]
    assert np.load(iscell, allow_pickle=False)[:, 0].tolist() == [1, 1, 0, 0, 0]
    np.save(iscell, np.array([[0, 0.1], [1, 1], [1, 1], [1, 1], [1, 1]], np.float32))
    again = biofm.analyse("curate", traces, events=events, iscell=str(iscell))
    assert again.table["reason"][0] == "rejected in iscell"
    np.save(iscell, np.ones((3, 2), np.float32))
    with pytest.raises(BiofmError, match="3 rows, the traces 5 cells"):
        biofm.analyse("curate", traces, events=events, iscell=str(iscell))


def test_noise_is_that_of_cascade():
    from napari_biofm.analyses.calcium.curation import noise_level

    noise = np.random.default_rng(0).normal(0, 0.1, (1, 20000))
    truth = pytest.approx(100 * 0.1 * np.sqrt(2) * 0.6745 / np.sqrt(30), rel=0.03)
    assert noise_level(noise, 30.0, "dF/F")[0] == truth
    assert noise_level(100 * noise, 30.0, "%")[0] == truth
    assert np.isnan(noise_level(noise, 30.0, "a.u.")[0])


# beats


def beating(rate, seconds, period, rise=0.02, decay=0.12, delay=0.0, noise=0.01, seed=0):
    """Return upstrokes that are straight lines and exponential decays, and their starts."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    starts = (
        0.3
        + np.arange(int((seconds - 0.8) / period)) * period
        + rng.normal(0, 0.004, int((seconds - 0.8) / period))
    )
    y = np.zeros(len(t))
    for s in starts + delay:
        d = t - s
        y = np.maximum(y, np.where(d < 0, 0, np.where(d < rise, d / rise, np.exp(-(d - rise) / decay))))
    return y + rng.normal(0, noise, len(t)), starts


@pytest.mark.parametrize("turned", [1, -1])
def test_times_of_beats_are_those_of_the_model(turned):
    y, starts = beating(1000.0, 12, 0.8)
    found = biofm.analyse("beats", recording(turned * y[None], 1000.0))
    row = {k: v[0] for k, v in found.table.items()}
    assert row["beats"] == len(starts) and row["rate_bpm"] == pytest.approx(75, rel=0.01)
    assert row["interval_sd_s"] == pytest.approx(np.diff(starts).std(ddof=1), abs=0.002)
    assert row["amplitude_dF_per_F"] == pytest.approx(1, abs=0.04)
    for q in (10, 50, 90):
        assert row[f"t{q}_up_s"] == pytest.approx(0.02 * q / 100, abs=0.0015)
        assert row[f"t{q}_down_s"] == pytest.approx(-0.12 * np.log(1 - q / 100), rel=0.08, abs=0.003)
    assert row["duration_90_s"] == pytest.approx(0.01 + 0.12 * np.log(10), rel=0.05)


def test_noise_does_not_beat():
    noise = np.random.default_rng(0).normal(0, 1, (3, 6000))
    found = biofm.analyse("beats", recording(noise, 200.0))
    assert not found.table["beats"].any() and "no beats above the noise" in found.notes[0]


def test_a_wave_has_its_speed_and_direction():
    y, x = np.mgrid[:80, :120]
    masks, k, delays = np.zeros((80, 120), np.int32), 0, []
    values = []
    for cy in range(10, 80, 20):
        for cx in range(10, 120, 20):
            k += 1
            masks[(y - cy) ** 2 + (x - cx) ** 2 <= 25] = k
            delays.append((0.6 * cx - 0.8 * cy) / 1000.0)  # 1,000 px/s, to the right and up
            values.append(beating(400.0, 10, 0.7, delay=delays[-1] + 0.1, noise=0.02, seed=9)[0])
    found = biofm.analyse("propagation", recording(values, 400.0, masks), pixel_um=2.0)
    speed = float(found.summary.split()[0])
    assert speed == pytest.approx(2000, rel=0.05) and "towards 53 degrees" in found.summary
    measured = found.table["delay_ms"]
    np.testing.assert_allclose(
        measured - measured.mean(), 1e3 * (np.array(delays) - np.mean(delays)), atol=1.0
    )
    drawn = found.plots[0]  # each cell where it lies, in the colour of its delay
    np.testing.assert_array_equal(np.isnan(drawn.matrix), masks == 0)
    for label in (1, 9, k):
        np.testing.assert_allclose(drawn.matrix[masks == label], measured[label - 1])
    assert drawn.matrix_range[1] == pytest.approx(np.abs(measured).max())


def test_verbs_write_their_tables(groups, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    traces, _ = groups
    values = np.stack([traces.values(0, c) for c in range(traces.n_channels)])
    np.savez("t.npz", dff=values, labels=np.arange(1, len(values) + 1), frame_rate=RATE)
    assert main(["correlations", "t.npz", "--no-matrix", "--out", "c.csv"]) == 0
    assert (tmp_path / "c.csv").read_text().startswith("cell,cluster")
    for figure in ("c.svg", "c.png"):
        drawn = ["--figure", figure]
        assert main(["correlations", "t.npz", "--no-matrix", "--out", f"{figure}.csv", *drawn]) == 0
    assert "Correlation" in (tmp_path / "c.svg").read_text() and (tmp_path / "c.png").stat().st_size > 5000
    assert main(["beats", "t.npz", "--rows", "beat", "--out", "b.csv"]) == 0
