"""Errors that a user can act on."""

from __future__ import annotations


class BiofmError(Exception):
    """A failure a user can act on: names the thing, the value and the remedy, in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())  # libraries whose words are quoted break lines


class ImageError(BiofmError):
    """An image that cannot be used as it is."""


class RecordingError(BiofmError):
    """A recording that cannot be read, or a part of it that does not exist."""


class ModelError(BiofmError):
    """Weights that are missing, tampered with, or not what they claim to be."""


class EngineError(BiofmError):
    """A job that could not be run: a dead worker, no memory, no scheduler."""


class CellsError(BiofmError):
    """A table of cells or a classifier that cannot do what was asked."""


class ConditionsError(BiofmError):
    """A plate map that cannot be read or joined, or a profile or fit that cannot be made of it."""


class BatchError(BiofmError):
    """A recipe that cannot be run as it says."""


class TimelineError(BiofmError):
    """Clocks that cannot be brought together."""


class SessionError(BiofmError):
    """A session that cannot be changed, saved or opened as asked."""
