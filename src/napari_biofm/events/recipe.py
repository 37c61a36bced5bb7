"""The settings of a detection as a small JSON file, so that many recordings are treated alike."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from napari_biofm.events import DEFAULT_DETECTOR, DETECTORS, make_detector
from napari_biofm.events.options import option_values
from napari_biofm.files import write_text
from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.types import DetectionSettings, Kind, Preset, RecordingError

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "detector": tuple(DETECTORS),
    "kind": get_args(Kind),
    "preset": get_args(Preset),
}


@dataclass(frozen=True)
class Recipe:
    """What is done to a recording to find its events.

    Attributes
    ----------
    detector, kind, preset : as in `napari-biofm events`.
    options : numbers of the detector, by name.
    filters : of the processed copy that is searched; none by default.
    """

    detector: str = DEFAULT_DETECTOR
    kind: str = "auto"
    preset: str = "balanced"
    filters: FilterSettings = field(default_factory=FilterSettings)
    options: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_provenance(cls, recording: Recording, provenance: Mapping[str, Any]) -> Recipe:
        """Return how the events of a recording were found, by what the session noted."""
        noted = {key: str(provenance[key]) for key in _CHOICES if provenance.get(key) in _CHOICES[key]}
        done = recording.metadata.get("processing")
        filters = FilterSettings(**done) if done else FilterSettings()
        return cls(**noted, filters=filters, options=dict(provenance.get("options") or {}))

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises
        ------
        RecordingError
            If the file is no JSON, names something that does not exist, or gives the detector an option
            that it does not have or a value out of its range.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            stored["filters"] = FilterSettings(**stored.get("filters", {}))
            recipe = cls(**stored)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RecordingError(
                f"{path.name} is no file of settings ({error}): save one in the dock's Export tab"
            ) from error
        for key, known in _CHOICES.items():
            if getattr(recipe, key) not in known:
                raise RecordingError(
                    f"{path.name} asks for the {key} {getattr(recipe, key)!r}; there are: {', '.join(known)}"
                )
        if not isinstance(recipe.options, dict):
            raise RecordingError(f"{path.name}: options are {recipe.options!r}; give a value for each name")
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raise RecordingError where the detector does not have one of the options, or not this value of it."""
        option_values(make_detector(self.detector), self.settings)

    def write(self, path: Path) -> None:
        """Write the recipe, whole or not at all."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @property
    def settings(self) -> DetectionSettings:
        """What the detector is told."""
        return DetectionSettings(self.kind, self.preset, options=self.options)  # type: ignore[arg-type]

    def prepared(self, recording: Recording) -> Recording:
        """Return what is searched: the recording, or its processed copy."""
        return filtered(recording, self.filters) if self.filters else recording
