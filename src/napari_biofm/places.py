"""Files that a file names: they lie beside it or below, or they are not read."""

from __future__ import annotations

import os
from pathlib import Path


def beside(path: Path, name: str) -> Path | None:
    """Return the place of a file that another one names, or None where it lies outside that one's folder.

    Symbolic links are not followed: who links a file into the folder means it.

    Parameters
    ----------
    path : of the file that names the other.
    name : as it stands there, relative or absolute.
    """
    return below(path.parent, name)


def below(folder: Path, name: str, *, links: bool = True) -> Path | None:
    """Return the place of a file of a folder, or None where it lies outside.

    Parameters
    ----------
    folder : that holds the file.
    name : as it is told, relative or absolute.
    links : whether symbolic links in the folder may lead outside; else they are followed, and what they lead to counts.
    """
    place = folder / name
    if not links:
        folder, place = folder.resolve(), place.resolve()
    folder, place = Path(os.path.abspath(folder)), Path(os.path.abspath(place))
    return place if place.is_relative_to(folder) else None


def leads_outside(path: Path, name: str) -> bool:
    """Return whether a file names one that is there and lies outside its folder.

    Parameters
    ----------
    path : of the file that names the other.
    name : as it stands there; what is not there can do no harm.
    """
    return beside(path, name) is None and (path.parent / name).exists()


def outside_words(path: Path, what: str, name: str) -> str:
    """Return what is said of a file that lies outside.

    Parameters
    ----------
    path : of the file that names the other.
    what : is stored there.
    name : of the other.
    """
    return (
        f"{what} is stored in another file, {name}, outside the folder of {path.name}; put that file beside it and name it "
        "so, if it is meant"
    )
