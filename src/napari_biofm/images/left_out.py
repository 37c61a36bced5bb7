"""What a segmentation left out, and what was covered before it: counted, added up over parts, told in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NO_CONTRAST, SPECKS = "without contrast", "specks"  # reasons, keys of `left_out` in a provenance


def merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of several parts: that of the last, with what was left out and told in all of them.

    Parameters
    ----------
    before : of the parts until now.
    after : of one more.
    """
    together = {**before, **after}
    counts = dict(before.get("left_out") or {})
    for reason, number in (after.get("left_out") or {}).items():
        counts[reason] = counts.get(reason, 0) + int(number)
    notes = list(dict.fromkeys([*before.get("notes", ()), *after.get("notes", ())]))[:8]
    return together | ({"left_out": counts} if counts else {}) | ({"notes": notes} if notes else {})


def with_told(
    provenance: Mapping[str, Any], left_out: Mapping[str, int], notes: Sequence[str]
) -> dict[str, Any]:
    """Return a provenance with what was left out and told beside what it says.

    Parameters
    ----------
    provenance : of a segmentation.
    left_out : number of objects by reason.
    notes : in words.
    """
    more = ({"left_out": dict(left_out)} if left_out else {}) | ({"notes": list(notes)} if notes else {})
    return merged(provenance, more)


def describe(provenance: Mapping[str, Any]) -> list[str]:
    """Return in words what was covered and left out, and how to have it back.

    Parameters
    ----------
    provenance : of a segmentation.
    """
    told = [str(note) for note in provenance.get("notes", ())]
    counts = provenance.get("left_out") or {}
    if counts.get(NO_CONTRAST):
        told.append(
            f"{counts[NO_CONTRAST]} objects left out that differ from their ground no more than the ground itself does "
            "(least contrast 0 keeps them)"
        )
    if counts.get(SPECKS):
        told.append(f"{counts[SPECKS]} specks left out, far smaller than cells (relative size 0 keeps them)")
    return told
