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
TABLE = "table"  # steps that work on the tables of the whole run, after all items


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
    numbers : how many numbers a list holds; 0 for a list of any length and content.
    """

    default: Any
    types: tuple[type, ...]
    text: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    numbers: int = 0

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
        if self.numbers and isinstance(value, list):
            plain = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
            if len(value) != self.numbers or len(plain) != self.numbers:
                raise BatchError(f"{where} = {value!r}: give {self.numbers} numbers ({self.text}).")
        for one in value if isinstance(value, list) else [value]:
            counted = isinstance(one, int) and int in self.types  # a number, or one of the words
            if self.choices and not counted and one not in self.choices:
                raise BatchError(f"{where} = {one!r}{did_you_mean(str(one), self.choices)}")
            if isinstance(one, int | float) and not (math.isfinite(one) and one >= self.low):
                raise BatchError(f"{where} = {one!r}: give a number of at least {self.low:g} ({self.text}).")


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
_RECORDED = Parameter(None, (str, int, list), 'channel(s) from 0, or "all"; those of cells when not given')
_REJECTED = Parameter(False, (bool,), "rejected cells, too (suite2p's iscell, CaImAn's components)")
_PLANE = Parameter(
    None,
    (str, int),
    "plane of a movie or stack that flat masks lie on, counted from 0, or a picture of it",
    ("mean", "variation", "correlation", "peak"),
)


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
                    None,
                    (str, int),
                    "picture of a movie or stack that is segmented, or its plane counted from 0",
                    ("mean", "variation", "correlation", "peak"),
                ),
                "relative_size": Parameter(0.05, (float,), "smallest object, share of the usual one", low=0),
                "least_contrast": Parameter(8.0, (float,), "contrast of an object over its ground", low=0),
                "normalise": Parameter(
                    None,
                    (list,),
                    "percentiles, low and high, that become 0 and 1 for the model; as the model does when not given",
                    low=0,
                    numbers=2,
                ),
                "device": _DEVICE,
            },
        ),
        "measure": Step(
            (IMAGE,),
            "shape, intensities and neighbours of every cell",
            {
                "pixel_size_um": Parameter(None, (float, list), "micrometres per pixel, or per axis", low=1e-9),
                "plane": _PLANE,
                "channels": Parameter(None, (list,), "names of the channels, in the order of the file"),
                "frames": Parameter(False, (bool,), "the first axis is time: a row per cell and frame"),
                "neighbour_distance": Parameter(4.0, (float,), "pixels between the borders of neighbours", low=0),
            },
            ("segment",),
        ),
        "embed": Step(
            (IMAGE,), "one vector per cell", {"model": _MODEL, "plane": _PLANE, "device": _DEVICE}, ("segment",)
        ),
        "classify": Step(
            (IMAGE,),
            "class and probability of every cell by a saved classifier",
            {
                "head": Parameter("", (str,), "folder of the classifier, relative to the recipe"),
                "min_probability": Parameter(0.0, (float,), 'below it a cell is "unknown"', low=0),
                "plane": _PLANE,
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
                "neuropil_factor": Parameter(
                    None, (float,), "share of the surround that is subtracted; 0.7 if not given", low=0
                ),
                "neuropil": Parameter(
                    None,
                    (str,),
                    "that share for all, read from each cell, or what suits the cells (the usual)",
                    ("auto", "factor", "regression"),
                ),
                "bad_frames": Parameter("exclude", (str,), "frames without use", ("exclude", "bridge", "keep")),
                "dark_level": Parameter(None, (float,), "what a pixel without light reads"),
                "correct_bleaching": Parameter(False, (bool,), "divide the field's decay out of z-scores"),
                "values": Parameter("auto", (str,), "what the movie holds", ("auto", "fluorescence", "dff")),
                "channel": Parameter(None, (int,), "of a file with several, counted from 0", low=0),
                "plane": Parameter(None, (int,), "of a file with several, counted from 0", low=0),
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
                "rejected": _REJECTED,
                "options": Parameter(None, (dict,), "numbers for the detector, by name"),
                "filters": Parameter(None, (dict,), "of the copy that is searched: lowpass, highpass, notch ..."),
                "head": Parameter(None, (str,), "file of what physio-FM was taught, relative to the recipe"),
            },
        ),
        "features": Step(
            (RECORDING,),
            "numbers of every sweep and event",
            {
                "channel": _RECORDED,
                "rejected": _REJECTED,
                "epoch": Parameter(None, (str, int), "epoch of the command"),
                "detector": Parameter("physio-fm", (str,), "where no events were found before"),
                "kind": Parameter("auto", (str,), "kind of signal, where no events were found before"),
            },
        ),
        "idealize": Step((RECORDING,), "open channels of a patch", {"channel": Parameter(None, (int,), "counted from 0", low=0)}),
        "profiles": Step(
            (TABLE,),
            "cells to wells, normalised to the plate's controls; hits, activity, fractions, dose and response",
            {
                "features": Parameter(None, (list,), "columns of cells; all that describe cells when not given"),
                "classes": Parameter(None, (str,), "column of classes; that of classify when not given"),
                "normalise": Parameter("robust_z", (str,), "to the controls", ("robust_z", "sphering", "none")),
                "min_cells": Parameter(10, (int,), "wells with fewer cells are left out", low=1),
                "correct_edges": Parameter(False, (bool,), "take away what edge wells are found to differ by"),
                "negative": Parameter(None, (str,), "compound of the negative controls"),
                "by": Parameter(["compound", "dose"], (list,), "columns that make a condition"),
                "dose": Parameter(None, (list,), "values of wells that a dose-response curve is fitted to"),
            },
            ("measure", "classify"),
        ),
        "export": Step(
            (IMAGE, RECORDING, TABLE),
            "files for other programs",
            {
                "tables": Parameter([], (list,), "of the whole run", ("csv", "anndata")),
                "masks": Parameter([], (list,), "per image", ("imagej", "geojson", "coco")),
                "recordings": Parameter([], (list,), "per recording", ("nwb",)),
            },
        ),
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
