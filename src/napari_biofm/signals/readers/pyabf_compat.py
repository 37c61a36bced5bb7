"""The one file that touches what is private in pyabf (2.3.8): sections of the header that its public face leaves out.

Every function takes a parsed `pyabf.ABF`. A release that moved one of these parts gives a RecordingError that says
so, and `tests/signals/test_compatibility.py` fails before a user meets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyabf import ABF

PRIVATE = {  # what is read, by the major version of the file
    1: ("_dtype", "_headerV1", "_fileGUID"),
    2: (
        "_dtype",
        "_fileGUID",
        "_protocolSection",
        "_synchArraySection",
        "_dacSection",
        "_epochPerDacSection",
        "_stringsSection",
    ),
}


def is_first(header: ABF) -> bool:
    """Return whether the file is of version 1."""
    return bool(header.abfVersion["major"] == 1)


def sample_dtype(header: ABF) -> np.dtype[Any]:
    """Return the dtype of the stored samples: int16 or float32."""
    return np.dtype(_part(header, "_dtype"))


def gains(header: ABF) -> Sequence[float]:
    """Return what a stored integer is multiplied by, per channel."""
    return list(_part(header, "_dataGain"))


def offsets(header: ABF) -> Sequence[float]:
    """Return what is added after the gain, per channel."""
    return list(_part(header, "_dataOffset"))


def guid(header: ABF) -> str:
    """Return the unique id of the file."""
    return str(_part(header, "_fileGUID"))


def first_header(header: ABF) -> Any:
    """Return the whole header of a file of version 1."""
    return _part(header, "_headerV1")


def protocol_section(header: ABF) -> Any:
    """Return the protocol of a file of version 2: sample interval, unit of the synch array."""
    return _part(header, "_protocolSection")


def synch_section(header: ABF) -> Any:
    """Return start and length of every sweep of a file of version 2."""
    return _part(header, "_synchArraySection")


def output_section(header: ABF) -> Any:
    """Return the settings of the outputs, of either version."""
    return first_header(header) if is_first(header) else _part(header, "_dacSection")


def user_lists(header: ABF) -> list[tuple[int, int, bool, list[float]]]:
    """Return output, what is varied (its number), whether it repeats, and values of each user list that is on.

    pyabf reads the values of the first list only: another one is left out.
    """
    values = header.userList
    if not values or not all(isinstance(value, float) and np.isfinite(value) for value in values):
        return []
    on, what, again = header.userListEnable, header.userListParamToVary, header.userListRepeat
    enabled = [i for i, flag in enumerate(on) if flag]
    return [(i, int(what[i]), bool(again[i]), list(values)) for i in enabled[:1]]


def epoch_section(header: ABF) -> Any:
    """Return the epochs of all outputs of a file of version 2."""
    return _part(header, "_epochPerDacSection")


def indexed_strings(header: ABF) -> Sequence[str]:
    """Return the strings that a file of version 2 refers to by number."""
    return list(_part(_part(header, "_stringsSection"), "_indexedStrings"))


def _part(header: object, name: str) -> Any:
    try:
        return getattr(header, name)
    except AttributeError as error:
        import pyabf

        raise RecordingError(
            f"pyabf {pyabf.__version__} keeps '{name}' elsewhere than the releases this program knows; install "
            "pyabf 2.3.8"
        ) from error
