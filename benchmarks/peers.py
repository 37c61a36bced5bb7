"""eFEL and IPFX on one trace of action potentials, in an environment of their own, for measures.py.

`PYTHON benchmarks/peers.py TRACE.npz` prints JSON; TRACE holds `volts` (n_samples,) mV and `rate` Hz. Their pins of numpy and pandas
do not go together with ours: make an environment with `python -m venv peers && peers/bin/pip install efel ipfx`, and name its
Python in the variable BIOFM_PEERS.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def with_efel(volts: Any, rate: float) -> dict[str, float]:
    import efel

    t = np.arange(len(volts)) / rate * 1e3
    names = {
        "threshold": "AP_begin_voltage",
        "amplitude": "AP_amplitude",
        "half width": "AP_duration_half_width",
    }
    trace = {"T": t, "V": volts, "stim_start": [50.0], "stim_end": [t[-1] - 10]}
    get = getattr(efel, "get_feature_values", None) or efel.getFeatureValues
    found = get([trace], list(names.values()))[0]
    return {key: float(np.median(found[name])) for key, name in names.items() if found[name] is not None}


def with_ipfx(volts: Any, rate: float) -> dict[str, float]:
    from ipfx.feature_extractor import SpikeFeatureExtractor

    t = np.arange(len(volts)) / rate
    table = SpikeFeatureExtractor(filter=None).process(t, volts, np.zeros(len(t)))
    values = {
        "threshold": table["threshold_v"], "amplitude": table["peak_v"] - table["threshold_v"],
        "half width": table["width"] * 1e3,
    }  # fmt: skip
    return {key: float(np.nanmedian(value)) for key, value in values.items()}


def main() -> None:
    with np.load(sys.argv[1], allow_pickle=False) as data:
        volts, rate = data["volts"], float(data["rate"])
    out: dict[str, Any] = {}
    for name, call in (("eFEL", with_efel), ("IPFX", with_ipfx)):
        try:
            out[name] = call(volts, rate)
        except Exception as error:  # noqa: BLE001 - a peer that fails is shown as absent
            print(f"# {name}: {error!r}"[:200], file=sys.stderr)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
