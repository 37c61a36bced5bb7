"""Statistics of events against known truth: correlation, scaling, nested mixed models, noise analysis."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import napari_biofm as biofm
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE, BiofmError


def test_relation_is_that_of_scipy_within_cells_too() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    cell = np.array(["a", "b"] * 100)
    y = np.where(cell == "a", 1, -1) * x + 0.1 * rng.normal(size=200)
    found = biofm.analyse(
        "relation", {"rise": x, "size": y, "cell": cell}, x="rise", y="size", cell="cell"
    ).table
    assert found["cell"].tolist() == ["all", "a", "b"]
    assert found["spearman"][0] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found["slope"][1:] == pytest.approx([1, -1], abs=0.05)
    with pytest.raises(BiofmError, match="no column 'rise_s'"):
        biofm.analyse("relation", {"rise": x, "size": y})


def test_a_scaled_sample_is_told_from_a_shifted_one() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.lognormal(3, 0.5, 800), 1.4 * rng.lognormal(3, 0.5, 700)
    group = np.repeat(["control", "ttx"], (800, 700))
    found = biofm.analyse("scaling", {"amplitude": np.r_[one, two], "group": group}).table
    assert found["factor"][0] == pytest.approx(1.4, rel=0.03) and found["p"][0] > 0.3
    shifted = biofm.analyse("scaling", {"amplitude": np.r_[one, two + 15], "group": group}).table
    assert shifted["p"][0] < 1e-3


def _balanced() -> dict[str, np.ndarray]:
    rng, rows = np.random.default_rng(2), []
    for name, offset in (("a", 0), ("b", 4)):
        for animal in range(6):
            of_animal = rng.normal(0, 2)
            for cell in range(4):
                size = 20 + offset + of_animal + rng.normal(0, 1.5)
                rows += [
                    (name, f"{name}{animal}", f"{animal}-{cell}", size + rng.normal(0, 5)) for _ in range(30)
                ]
    group, animal, cell, value = map(np.array, zip(*rows, strict=True))
    return {"amplitude": value.astype(float), "group": group, "animal": animal, "file": cell}


def test_a_nested_mixed_model_of_balanced_data_is_that_of_means_of_animals() -> None:
    table = _balanced()
    found = biofm.analyse("mixed-model", table, animal="animal").table

    def means(unit: str, name: str) -> np.ndarray:
        mine = table["group"] == name
        return np.array(
            [table["amplitude"][mine & (table[unit] == u)].mean() for u in np.unique(table[unit][mine])]
        )

    a, b = means("animal", "a"), means("animal", "b")
    assert found["estimate"][1] == pytest.approx(b.mean() - a.mean(), rel=1e-6)
    assert found["error"][1] == pytest.approx(np.sqrt(a.var(ddof=1) / 6 + b.var(ddof=1) / 6), rel=0.01)
    assert found["n_animals"].tolist() == [12, 6] and found["n_cells"].tolist() == [48, 24]
    cells = biofm.analyse("mixed-model", table).table
    a, b = means("file", "a"), means("file", "b")
    error = np.sqrt(a.var(ddof=1) / 24 + b.var(ddof=1) / 24)
    assert cells["error"][1] == pytest.approx(error, rel=0.01) and cells["error"][1] < found["error"][1]
    (pair,) = biofm.compare_groups(table, "amplitude", group="group", cell="file")
    assert pair.difference == pytest.approx(b.mean() - a.mean(), rel=1e-4), "compare is the same model"
    assert pair.high - pair.low == pytest.approx(2 * 1.96 * error, rel=0.02)
    with pytest.raises(BiofmError, match="two groups of two cells"):
        biofm.analyse("mixed-model", {**table, "file": table["group"]})


@pytest.mark.parametrize("mode", ["scaled", "raw"])
def test_the_current_of_a_channel_is_told_from_the_variance(mode: str) -> None:
    rng, fs, length, start = np.random.default_rng(3), 20_000.0, 1400, 300
    x = rng.normal(0, 1, 1200 * length)
    events = np.zeros(1200, EVENT_DTYPE)
    late = np.arange(length - start) / fs
    for k in range(1200):  # 60 channels open with p = .7, each closes after 6 ms in the mean
        open_for = rng.exponential(6e-3, rng.binomial(60, 0.7))
        x[k * length + start : (k + 1) * length] -= 1.7 * (open_for[:, None] > late).sum(0)
    events["time_s"] = (np.arange(1200) * length + start + 2) / fs
    events["class"], events["amplitude"] = "EPSC", -70
    recording = Recording.from_arrays(x.astype(np.float32), fs, "pA")
    found = biofm.analyse("noise-analysis", recording, events=events, mode=mode, driving_mv=-70, after_ms=30)
    current, error = (float(v) for v in found.summary.split("channel ")[1].split(" pA")[0].split(" +- "))
    assert current == pytest.approx(1.7, rel=0.06) and abs(current - 1.7) < 3 * error
    assert f"{1e3 * current / 70:.3g}"[:2] in found.summary.split(" pS")[0][-6:]
    with pytest.raises(BiofmError, match="20 are the least"):
        biofm.analyse("noise-analysis", recording, events=events[:10])
