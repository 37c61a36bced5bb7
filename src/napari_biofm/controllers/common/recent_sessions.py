"""Folders of the sessions that were saved or opened last. No Qt."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from napari_biofm.files import write_json
from napari_biofm.session.journal_files import autosave_folder

MOST = 10
NAME = "recent-sessions.json"  # beside the journals


def recent_sessions() -> list[Path]:
    """Return the folders that are still there, the latest first; none where autosave is switched off."""
    root = autosave_folder()
    if root is None:
        return []
    try:
        named = json.loads((root.parent / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = [Path(one) for one in named if isinstance(one, str)] if isinstance(named, list) else []
    return [folder for folder in found if folder.is_dir()][:MOST]


def remember_session(folder: Path) -> None:
    """Put a folder at the head of the list; where autosave is switched off nothing is written."""
    root, folder = autosave_folder(), folder.absolute()
    if root is None:
        return
    others = [one for one in recent_sessions() if one != folder]
    with suppress(OSError):  # the session itself is saved; the list only saves a few clicks
        root.parent.mkdir(parents=True, exist_ok=True)
        write_json(root.parent / NAME, [str(one) for one in [folder, *others][:MOST]])
