"""The list of the sessions used last."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_biofm.controllers.common.recent_sessions import MOST, NAME, recent_sessions, remember_session
from napari_biofm.session.journal_files import FOLDER_VARIABLE


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache" / "autosave"))
    made = [tmp_path / f"day{n}.biofm" for n in range(MOST + 3)]
    for folder in made:
        folder.mkdir()
    return made


def test_the_latest_comes_first_once_and_ten_are_kept(folders: list[Path]) -> None:
    for folder in [*folders, folders[5]]:
        remember_session(folder)
    kept = recent_sessions()
    assert kept[:2] == [folders[5], folders[-1]]
    assert len(kept) == MOST == len(set(kept))


def test_a_folder_that_is_gone_is_not_offered(folders: list[Path]) -> None:
    remember_session(folders[0])
    remember_session(folders[1])
    folders[1].rmdir()
    assert recent_sessions() == [folders[0]]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[3, null]"])
def test_a_damaged_list_is_an_empty_one(folders: list[Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).write_text(text)
    assert recent_sessions() == []
    remember_session(folders[0])
    assert recent_sessions() == [folders[0]]


def test_nothing_is_written_where_autosave_is_off(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "off")
    remember_session(folders[0])
    assert recent_sessions() == []
