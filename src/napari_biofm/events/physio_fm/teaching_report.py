"""What teaching gained and lost, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MUCH_FORGOTTEN = 0.2  # of the stock model's events


def describe_teaching(report: Mapping[str, Any], beside: bool = False) -> list[str]:
    """Return the report of a taught head as sentences; none where it was not scored.

    Parameters
    ----------
    report : of an `AdaptedHead`.
    beside : whether the head adds to the stock model's events instead of replacing them.
    """
    if "f1_adapted" not in report:
        return []
    sentences = [
        f"{report['marks']} marks in {report['seconds']:.1f} s; scored by leaving out {report['left_out']}:",
        f"F1 {report['f1_stock']:.2f} before, {report['f1_adapted']:.2f} after",
    ]
    probe = report.get("forgetting") or {}
    if not probe.get("events"):
        return [*sentences, "There is no built-in probe for this kind: what was forgotten is not known."]
    sentences.append(
        f"On {probe['events']} built-in events of this kind the stock model finds {probe['stock']:.0%}, "
        f"what was taught {probe['adapted']:.0%}."
    )
    if probe["forgotten"] > MUCH_FORGOTTEN and not beside:
        sentences.append("Tick 'beside the stock events' and teach again to keep those as well.")
    return sentences


def describe_marks(accepted: int, rejected: int, sweeps: int) -> str:
    """Return how many marks there are to learn from."""
    if not accepted:
        return "No marks yet."
    few = "" if accepted >= 5 else " At least 5 are needed for a score worth reading."
    return f"{accepted} accepted, {rejected} rejected in {sweeps} sweep{'s' * (sweeps != 1)}.{few}"
