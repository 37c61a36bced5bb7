"""What each step of a recipe does and which parameters it has."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from napari_biofm.types import BatchError

IMAGE, RECORDING = "image", "recording"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a step.

    Attributes
    ----------
    default : None where the program decides.
    types : that a value may have in TOML; whole numbers count as numbers.
    text : what it is, with its unit.
    choices : values that are allowed, () for any.
    low : least number allowed.
    """

    default: Any
    types: tuple[type, ...]
    text: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf

    def check(self, where: str, value: Any) -> None:
        """Raise `BatchError` if the value does not fit.

        Parameters
        ----------
        where : step and parameter, for the message.
        """
        fits = isinstance(value, self.types) or (float in self.types and isinstance(value, int))
        if not fits or (isinstance(value, bool) and bool not in self.types):
            wanted = " or ".join(_KINDS[one] for one in self.types)
            raise BatchError(f"{where} = {value!r}: give {wanted} ({self.text}).")
        if self.choices and value not in self.choices:
            raise BatchError(f"{where} = {value!r}{did_you_mean(str(value), self.choices)}")
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= self.low):
            raise BatchError(f"{where} = {value!r}: give a number of at least {self.low:g} ({self.text}).")


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
_CHANNEL = Parameter(None, (str, int), "channel, by name or counted from 0")
_MODEL = Parameter("biofm-image", (str,), "name of the catalogue, or path of weights")
_DEVICE = Parameter("auto", (str,), "where the network runs", ("auto", "cpu", "cuda", "mps"))
_RECORDED = Parameter(None, (str, int), 'channel counted from 0, or "all"; those of cells when not given')


@dataclass(frozen=True)
class Step:
    """A kind of step.

    Attributes
    ----------
    on : kinds of items it works on.
    text : what it does.
    parameters : by name.
    needs : steps of which one has to come before, on the same items; masks that are given count as `segment`.
    """

    on: tuple[str, ...]
    text: str
    parameters: Mapping[str, Parameter]
    needs: tuple[str, ...] = ()


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "segment": Step(
            (IMAGE,),
            "instance masks",
            {
                "model": _MODEL,
                "diameter": Parameter(None, (float,), "mean diameter of a cell, pixels", low=1e-3),
                "cellprob_threshold": Parameter(0.0, (float,), "logit above which a pixel belongs to a cell"),
                "flow_threshold": Parameter(0.4, (float,), "largest flow error of a mask", low=0),
                "min_size": Parameter(15, (int,), "smallest object, pixels", low=0),
                "channel": _CHANNEL,
                "second_channel": _CHANNEL,
                "axes": Parameter(None, (str,), "letters of TZCYXS where the file names none"),
                "projection": Parameter(
                    None, (str,), "picture of a movie or stack that is segmented", ("mean", "variation")
                ),
                "device": _DEVICE,
            },
        ),
        "measure": Step(
            (IMAGE,),
            "shape, intensities and neighbours of every cell",
            {"pixel_size_um": Parameter(None, (float,), "micrometres per pixel where the file does not say", low=1e-9)},
            ("segment",),
        ),
        "embed": Step((IMAGE,), "one vector per cell", {"model": _MODEL, "device": _DEVICE}, ("segment",)),
        "classify": Step(
            (IMAGE,),
            "class and probability of every cell by a saved classifier",
            {
                "head": Parameter("", (str,), "folder of the classifier, relative to the recipe"),
                "min_probability": Parameter(0.0, (float,), "below it a cell is \"unknown\"", low=0),
                "device": _DEVICE,
            },
            ("segment",),
        ),
        "track": Step((IMAGE,), "follow cells of a time-lapse by overlap", {}, ("segment",)),
        "traces": Step(
            (IMAGE,),
            "brightness and dF/F of every cell of a movie",
            {
                "frame_rate": Parameter(None, (float,), "Hz, where the file does not say", low=1e-6),
                "neuropil_factor": Parameter(0.7, (float,), "share of the surround that is subtracted", low=0),
                "bad_frames": Parameter("exclude", (str,), "frames without use", ("exclude", "bridge", "keep")),
                "dark_level": Parameter(None, (float,), "what a pixel without light reads"),
            },
            ("segment",),
        ),
        "events": Step(
            (IMAGE, RECORDING),
            "events of recordings, or of the traces of a movie",
            {
                "detector": Parameter("physio-fm", (str,), "name of a detector"),
                "kind": Parameter("auto", (str,), "kind of signal"),
                "preset": Parameter("balanced", (str,), "how sure", ("balanced", "precise")),
                "channel": _RECORDED,
                "options": Parameter(None, (dict,), "numbers for the detector, by name"),
            },
        ),
        "features": Step(
            (RECORDING,), "numbers of every sweep and event", {"channel": _RECORDED, "epoch": Parameter(None, (str, int), "epoch of the command")}
        ),
        "idealize": Step((RECORDING,), "open channels of a patch", {"channel": Parameter(None, (int,), "counted from 0", low=0)}),
    }
)  # fmt: skip


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a step with defaults filled in.

    Parameters
    ----------
    name : of the step.
    given : by the recipe.

    Raises
    ------
    BatchError
        If there is no such step or parameter (the nearest name is offered), or a value does not fit.
    """
    if name not in STEPS:
        raise BatchError(f"there is no step {name!r}{did_you_mean(name, STEPS)}")
    known = STEPS[name].parameters
    for key, value in given.items():
        if key not in known:
            raise BatchError(f"the step {name} has no parameter {key!r}{did_you_mean(key, known)}")
        known[key].check(f"{name}.{key}", value)
    if name == "classify" and not given.get("head"):
        raise BatchError('the step classify needs head = "FOLDER" of a classifier.')
    return {key: given.get(key, one.default) for key, one in known.items()}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the nearest of the known names, and all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} There are: {', '.join(names)}." if names else f"{hint} There are none."
