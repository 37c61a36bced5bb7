"""Pipette and cell over the sweeps of a recording, and which sweeps do not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.access import recording_access
from napari_biofm.signals.membrane import MembraneTest
from napari_biofm.signals.recording import Recording

_FIRST = 3  # sweeps whose median access resistance is the one that later ones are compared with


@dataclass(frozen=True)
class Rule:
    """When a sweep does not count; None asks for nothing.

    Attributes
    ----------
    most_access : MOhm.
    most_change : percent by which access resistance may differ from the median of the first three sweeps.
    least_holding, most_holding : pA.
    """

    most_access: float | None = None
    most_change: float | None = None
    least_holding: float | None = None
    most_holding: float | None = None

    def against(self, access: float, change: float, holding: float) -> str:
        """Return why a sweep does not count, "" if it does; what was not measured is not judged."""
        said = []
        if self.most_access is not None and access > self.most_access:
            said.append(f"access {access:.3g} MOhm > {self.most_access:g}")
        if self.most_change is not None and abs(change) > self.most_change:
            said.append(f"access changed by {change:.3g} %")
        if self.least_holding is not None and holding < self.least_holding:
            said.append(f"holding {holding:.4g} pA < {self.least_holding:g}")
        if self.most_holding is not None and holding > self.most_holding:
            said.append(f"holding {holding:.4g} pA > {self.most_holding:g}")
        return "; ".join(said)


COLUMNS = (
    "sweep", "channel", "time_s", "step_mV", "access_MOhm", "membrane_MOhm", "input_MOhm", "capacitance_pF", "tau_ms",
    "holding_pA", "access_change_percent", "excluded", "reason",
)  # fmt: skip


def membrane_over_time(
    recording: Recording,
    channels: Sequence[int],
    rule: Rule | None = None,
    *,
    pulse: int = 0,
    epoch: str | None = None,
) -> list[dict[str, object]]:
    """Return one row per channel and sweep with a test pulse, with the columns of `COLUMNS`.

    Parameters
    ----------
    recording : in voltage clamp.
    channels : counted from 0.
    rule : which sweeps are marked as excluded; none by default.
    pulse : number of the test pulse in its sweep, or `access.MEAN_OF_ALL`.
    epoch : letter or number of an epoch that is taken instead.
    """
    rows: list[dict[str, object]] = []
    for channel in channels:
        found = [
            (sweep, one)
            for sweep in range(recording.n_sweeps)
            if (one := recording_access(recording, sweep, channel, pulse, epoch)) is not None
        ]
        access = np.array([1e-6 * one.access_resistance for _, one in found])
        change = _change(access)
        for (sweep, one), percent in zip(found, change, strict=True):
            rows.append(_row(recording, sweep, channel, one, float(percent), rule or Rule()))
    return rows


def _change(access: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return percent against the median of the first finite values."""
    first = access[np.isfinite(access)][:_FIRST]
    return 100 * (access / np.median(first) - 1) if len(first) else np.full(len(access), np.nan)


def _row(
    recording: Recording, sweep: int, channel: int, one: MembraneTest, change: float, rule: Rule
) -> dict[str, object]:
    holding = 1e12 * one.holding_current
    why = rule.against(1e-6 * one.access_resistance, change, holding)
    values = (
        sweep, channel, float(recording.sweep_starts[sweep]), 1e3 * one.step, 1e-6 * one.access_resistance,
        1e-6 * one.membrane_resistance, 1e-6 * one.input_resistance, 1e12 * one.capacitance, 1e3 * one.tau, holding,
        change, int(bool(why)), "; ".join(text for text in (why, one.reason) if text),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
