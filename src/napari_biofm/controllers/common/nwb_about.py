"""What a dialog says of an experiment and an animal is remembered for the next NWB file. No Qt."""

from __future__ import annotations

import json
from contextlib import suppress

from napari_biofm.files import write_json
from napari_biofm.session.journal_files import settings_folder
from napari_biofm.signals.nwb_about import FIELDS, NwbAbout

NAME = "nwb-about.json"


def remembered_about() -> NwbAbout:
    """Return what was said last."""
    try:
        said = json.loads((settings_folder() / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = {}
    kept = said.items() if isinstance(said, dict) else ()
    return NwbAbout(**{name: value for name, value in kept if name in FIELDS and isinstance(value, str)})


def remember_about(about: NwbAbout) -> None:
    """Keep what was said for the next file.

    Parameters
    ----------
    about : the fields.
    """
    with suppress(OSError):  # the file itself is written; this only saves typing
        settings_folder().mkdir(parents=True, exist_ok=True)
        write_json(settings_folder() / NAME, about.given)
