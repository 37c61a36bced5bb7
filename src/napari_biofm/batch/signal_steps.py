"""Steps on recordings, and on the traces of movies; they call the functions that docks and command line call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_biofm.batch.jobs import Bench
from napari_biofm.batch.writing import write_table
from napari_biofm.types import BatchError

Parameters = Mapping[str, Any]


def traces(bench: Bench, given: Parameters) -> None:
    """Measure the traces of a movie's cells; they become a recording for the steps that follow."""
    from napari_biofm.api.signals import traces as traces_of

    found = traces_of(
        bench.job.item.path,
        np.asarray(bench.masks),
        frame_rate=given["frame_rate"],
        neuropil_factor=given["neuropil_factor"],
        neuropil=given["neuropil"],
        bad_frames=given["bad_frames"],
        dark_level=given["dark_level"],
        correct_bleaching=given["correct_bleaching"],
        values=given["values"],
        channel=given["channel"],
        plane=given["plane"],
    )
    found.save(bench.folder / "traces.npz")
    bench.recording = found.recording()
    bench.facts["warnings"] = list(found.warnings)


def events(bench: Bench, given: Parameters) -> None:
    """Find events."""
    from napari_biofm.api.signals import detect_events

    recording = bench.recording
    if given["filters"]:
        from napari_biofm.signals.filters import FilterSettings, filtered

        try:
            recording = filtered(recording, FilterSettings(**given["filters"]))
        except TypeError as error:
            raise BatchError(f"events.filters = {given['filters']!r}: {error}") from error
    bench.events = detect_events(
        recording,
        detector=given["detector"],
        kind=given["kind"],
        preset=given["preset"],
        channel=given["channel"],
        rejected=given["rejected"],
        options=given["options"],
        taught=None if given["head"] is None else bench.path(given["head"]),
    )
    bench.facts["events"] = len(bench.events)
    _say_rejected(bench, given)


def _say_rejected(bench: Bench, given: Parameters) -> None:
    """Note with the item how many rejected cells were left out, or are included."""
    from napari_biofm.signals.curation import choose_cells

    said = choose_cells(bench.recording, given["rejected"]).said if given["channel"] is None else ""
    if said and said not in bench.facts.get("notes", []):
        bench.facts["notes"] = [*bench.facts.get("notes", []), said]


def features(bench: Bench, given: Parameters) -> None:
    """Describe sweeps and events by numbers; events found before are taken."""
    import pandas as pd

    from napari_biofm.api.signals import features as features_of

    epoch = None if given["epoch"] is None else str(given["epoch"])
    found = features_of(
        bench.recording,
        bench.events,
        channel=given["channel"],
        detector=given["detector"],
        kind=given["kind"],
        epoch=epoch,
        rejected=given["rejected"],
    )
    _say_rejected(bench, given)
    write_table(bench, "features", pd.DataFrame(found))


def idealize(bench: Bench, given: Parameters) -> None:
    """Idealise a patch: open channels at every sample, and a row per sweep."""
    import pandas as pd

    from napari_biofm.api.channels import idealize as idealize_recording
    from napari_biofm.files import atomic_write

    found = idealize_recording(bench.recording, channel=given["channel"])
    with atomic_write(bench.folder / "ideal.npz") as temporary:
        np.savez_compressed(temporary, n_open=found.n_open, levels=found.levels, baseline=found.baseline)
    rows = []
    for sweep, levels in enumerate(found.levels):
        n_open, known = found.n_open[sweep], levels[np.isfinite(levels)]
        rows.append(
            {
                "sweep": sweep,
                "n_channels": max(len(known) - 1, 0),
                "unit_current": float(known[1] - known[0]) if len(known) > 1 else float("nan"),
                "unit": found.unit,
                "mean_open": float(n_open.mean()) if n_open.size else float("nan"),
                "open_probability": float((n_open > 0).mean()) if n_open.size else float("nan"),
                "probability": float(found.probability[sweep]),
                "dead_time_s": float(found.dead_time_s[sweep]),
                "notes": "; ".join(found.notes[sweep]),
            }
        )
    write_table(bench, "channels", pd.DataFrame(rows))
