"""What traces are drawn with, derived from the two colours of a theme."""

from __future__ import annotations

from dataclasses import dataclass

CHANNEL_COLOURS = ("#4aa3df", "#f2a65a", "#5fbf87", "#c98bdb", "#e87a90", "#8fb8a0", "#d9c86a", "#9aa7e0")


@dataclass(frozen=True)
class Colours:
    """What plots are drawn with.

    Attributes
    ----------
    background, foreground : of the plots; the foreground is for axes and text.
    faint : of sweeps behind the current one.
    accent : of cursors, selection and the time line.
    """

    background: str = "#262930"
    foreground: str = "#d6d6d6"
    faint: str = "#707279"
    accent: str = "#f6c945"

    def channel(self, index: int) -> str:
        """Return the colour of the n-th channel."""
        return CHANNEL_COLOURS[index % len(CHANNEL_COLOURS)]

    @classmethod
    def of_theme(cls, background: str, text: str) -> Colours:
        """Return the colours that go with a theme; #rgb or #rrggbb."""
        background, text = _long(background), _long(text)
        accent = "#f6c945" if _is_dark(background) else "#b8860b"
        return cls(background, text, _between(background, text, 0.42), accent)


def _between(first: str, second: str, share: float) -> str:
    """Return a colour between two."""
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def _long(colour: str) -> str:
    """Return #rrggbb for #rgb."""
    return f"#{''.join(2 * c for c in colour[1:])}" if len(colour) == 4 else colour


def _is_dark(colour: str) -> bool:
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) < 384
