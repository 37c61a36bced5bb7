"""The words every room speaks: aliases, small frozen dataclasses, Protocols, errors.

Imports numpy only, so that it can be read by the window, the worker and the command line alike.
Axes are named in comments; units are SI unless a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# --------------------------------------------------------------------------- arrays
Image = NDArray[Any]  # (Y, X) or (Y, X, C), any real dtype
Labels = NDArray[np.int32]  # (Y, X) or (Z, Y, X); 0 is background, a value is a cell_id
Vectors = NDArray[np.float32]  # (n_cells, n_features)
Events = NDArray[np.void]  # (n_events,) of EVENT_DTYPE, or of MEASURED_DTYPE once measured


class LazyArray(Protocol):
    """An array that is read by slices: of numpy, zarr, dask, h5py, or a `LazyImage`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class WritableArray(LazyArray, Protocol):
    """A `LazyArray` that is written by slices."""

    def __setitem__(self, index: Any, values: Any, /) -> None: ...


# --------------------------------------------------------------------------- errors


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


# --------------------------------------------------------------------------- work

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One step of a job. `payload` may carry a partial result, e.g. one finished tile."""

    done: int
    total: int
    message: str = ""
    payload: Any = None


# A long task is a generator: it yields Progress and returns its result. The engine, the command
# line and a test drain it alike, and it can be cancelled between any two steps.
Task = Generator[Progress, None, T]


ProgressListener = Callable[[Progress], None]


def run_task(task: Task[T], progress: ProgressListener | None = None) -> T:
    """Drain `task` here and now and return its result.

    Parameters
    ----------
    task : generator of Progress.
    progress : called with each step; an exception raised in it stops the task.
    """
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if progress is not None:
            try:
                progress(step)
            except BaseException:
                task.close()
                raise


def relay(task: Task[T], done: int, total: int, message: str, steps: int = 1) -> Task[T]:
    """Pass the steps of an inner task on as steps of the outer one, and return the inner result.

    Parameters
    ----------
    task : the inner task.
    done, total : parts of the outer task that are finished, and all of them.
    message : what is worked on; the inner message is put behind it.
    steps : steps into which each part is divided; `done` and `total` are counted in them.
    """
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            result: T = stop.value
            return result
        inside = min(steps - 1, steps * step.done // max(1, step.total))
        told = f"{message}: {step.message}" if step.message else message
        yield Progress(done * steps + inside, total * steps, told)


# --------------------------------------------------------------------------- images


@dataclass(frozen=True)
class SegmentationParameters:
    """What a user may set before or after the network has run.

    Attributes
    ----------
    diameter : mean cell diameter in pixels; None lets the model estimate it.
    flow_threshold : largest mean squared flow error a mask may have; 0 keeps all.
    cellprob_threshold : logit above which a pixel belongs to a cell.
    min_size : smallest object kept, in pixels.
    relative_size : smallest object kept, as a share of the image's usual object; 0 keeps all, also the specks of a field
        that holds nothing else.
    least_contrast : how far an object has to stand above its ground, in units of what the ground itself varies by over
        patches of its size; noise reaches 7. 0 keeps all.
    normalise : percentiles (low, high) of the intensities of each channel that become 0 and 1 for the model; None leaves
        it to the model.

    Raises
    ------
    ImageError
        If `normalise` is not two numbers with 0 <= low < high <= 100.
    """

    diameter: float | None = None
    flow_threshold: float = 0.4
    cellprob_threshold: float = 0.0
    min_size: int = 15
    relative_size: float = 0.05
    least_contrast: float = 8.0
    normalise: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.normalise is not None:  # a list where it comes from a file
            object.__setattr__(self, "normalise", as_percentiles(self.normalise))


def as_percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return percentiles of intensities, lower and upper.

    Parameters
    ----------
    values : two numbers, 0 <= low < high <= 100.

    Raises
    ------
    ImageError
        If they are not.
    """
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise ImageError(
            f"normalise = {values!r}: give two percentiles, low and high, with 0 <= low < high <= 100"
        )
    return low, high


@dataclass(frozen=True)
class FeatureMap:
    """Per-position features of one image.

    Attributes
    ----------
    data : (C, h, w) float16 or float32; position (i, j) stands for the image pixels around
        ((i + 0.5) * stride, (j + 0.5) * stride).
    stride : image pixels per feature position.
    shape : (Y, X) of the image the map belongs to.
    model : name of the encoder.
    origin : where in the image the map begins, pixels; not (0, 0) for a part that was cut out.
    """

    data: NDArray[np.floating[Any]]
    stride: float
    shape: tuple[int, int]
    model: str
    origin: tuple[int, int] = (0, 0)

    def cut(self, start: Sequence[int], stop: Sequence[int]) -> FeatureMap:
        """Return the part over the pixels from `start` to `stop` (y, x) of this map's image.

        Pooling masks cut out in the same way gives what pooling the whole map gives.
        """
        begin = tuple(a + o for a, o in zip(start, self.origin, strict=True))
        end = tuple(b + o for b, o in zip(stop, self.origin, strict=True))
        parts = []
        for a, b, o, n in zip(begin, end, self.origin, self.data.shape[1:], strict=True):
            first = int(o / self.stride)
            parts.append(
                slice(min(int(a / self.stride) - first, n - 1), int((b - 0.5) / self.stride) + 1 - first)
            )
        data = np.ascontiguousarray(self.data[:, parts[0], parts[1]])
        shape = (end[0] - begin[0], end[1] - begin[1])
        return FeatureMap(data, self.stride, shape, self.model, (begin[0], begin[1]))

    def positions(self, pixels: NDArray[Any], axis: int, offset: float = 0.0) -> NDArray[np.intp]:
        """Return the row (`axis` 0) or column (1) of `data` that each pixel row or column lies in.

        Parameters
        ----------
        pixels : counted from the origin of the map.
        offset : of the point of a pixel that counts, 0.5 for its middle.
        """
        first = int(self.origin[axis] / self.stride)
        at = ((pixels + (self.origin[axis] + offset)) / self.stride).astype(np.intp) - first
        return np.minimum(at, self.data.shape[1 + axis] - 1)


@dataclass(frozen=True)
class Segmentation:
    """The products of one pass over an image.

    Attributes
    ----------
    masks : (Y, X) or (Z, Y, X) int32 instance labels, 1..n, 0 is background.
    flows : (2, Y, X) float32 or None; unit-less flow to the cell centre (y, x), Cellpose convention.
    cell_prob : (Y, X) float32 logits or None.
    features : feature map of the same pass, or None.
    diameter : diameter used, pixels, or None where the method has none.
    provenance : model name, weights_sha256, device, parameters, versions; JSON-able.
    """

    masks: Labels
    flows: NDArray[np.float32] | None = None
    cell_prob: NDArray[np.float32] | None = None
    features: FeatureMap | None = None
    diameter: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Capabilities:
    """What a model can do; each model carries one, and the catalogue has it without importing the model.

    For every flag but the plain facts there is a Protocol: the first three in this module, the others in
    `images/protocols.py`, with a function that tells the type checker (`if segments_stacks(model): ...`).

    Attributes
    ----------
    segments : finds all cells of an image (`Segmenter`).
    embeds : gives a feature map of an image (`Embedder`).
    clicks : answers points, boxes and masks (`Promptable`).
    stacks : has a way of its own for z-stacks and time series, 3D flows included.
    viewport : can begin with a part of the image, e.g. what is visible.
    limits : takes limits of intensity, so that parts of a larger image are seen on one scale.
    flows : a fact: its segmentations hold flows and cell probabilities, from which masks can be made again.
    remasks : makes masks from kept flows by a recipe of its own.
    feature_map : a fact: its segmentations hold a feature map.
    estimates : predicts time and memory before it runs.
    keeps_passes : can keep finished tiles on disk, so that a stopped pass goes on where it was.
    vectors : pools vectors of cells from its feature map by a recipe of its own.
    crops : gives vectors of single cells cut from their image.
    propagates : carries masks of a plane through the following ones.
    """

    segments: bool = False
    embeds: bool = False
    clicks: bool = False
    stacks: bool = False
    viewport: bool = False
    limits: bool = False
    flows: bool = False
    remasks: bool = False
    feature_map: bool = False
    estimates: bool = False
    keeps_passes: bool = False
    vectors: bool = False
    crops: bool = False
    propagates: bool = False


@runtime_checkable
class Model(Protocol):
    """What every model tells of itself: its name, the SHA-256 of its weights ("" without any), what it can do."""

    name: str

    @property
    def weights_sha256(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...


@runtime_checkable
class Segmenter(Model, Protocol):
    """Pixels -> instance masks (and, where the network gives them, flows and features)."""

    def segment(self, image: Image, parameters: SegmentationParameters) -> Task[Segmentation]: ...


@runtime_checkable
class Embedder(Model, Protocol):
    """Pixels -> feature map, from which one vector per cell is pooled."""

    def embed(self, image: Image) -> Task[FeatureMap]: ...


@dataclass(frozen=True)
class Prompt:
    """What a user says about one object, in image pixels.

    Attributes
    ----------
    points : (n, 2) float y, x.
    positive : (n,) bool; True = inside the object.
    box : (y0, x0, y1, x1) or None.
    mask : (Y, X) bool, the mask to refine, or None.
    """

    points: NDArray[np.float64]
    positive: NDArray[np.bool_]
    box: tuple[float, float, float, float] | None = None
    mask: NDArray[np.bool_] | None = None


P = TypeVar("P")  # what a promptable model prepares of an image


@runtime_checkable
class Promptable(Model, Protocol[P]):
    """Clicks -> mask. `prepare` runs the encoder once; `predict` is called at every click."""

    def prepare(self, image: Image) -> Task[P]: ...

    def predict(self, prepared: P, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n_alternatives, Y, X), best first, and their scores (predicted IoU)."""
        ...


# --------------------------------------------------------------------------- signals and events

Kind = Literal["auto", "psc", "ap", "calcium", "channel", "spike", "ecg", "psp", "loose"]
Preset = Literal["balanced", "precise"]

EVENT_CLASSES = (
    "AP",
    "EPSC",
    "IPSC",
    "PSC",
    "EPSP",
    "IPSP",
    "PSP",
    "calcium",
    "spike",
    "R",
    "open",
    "artefact",
    "rejected",
)

# One row per event; `time_s` counts from the start of the sweep, `amplitude` is in `unit`.
EVENT_DTYPE = np.dtype(
    [
        ("sweep", np.int32),
        ("channel", np.int32),
        ("time_s", np.float64),
        ("class", "U12"),
        ("score", np.float32),
        ("amplitude", np.float64),
        ("unit", "U8"),
        ("rise_s", np.float64),
        ("decay_s", np.float64),
    ]
)


# What a detection adds to each row once the event was measured on the trace; NaN and "" where it could not be.
MEASURED_DTYPE = np.dtype(
    [
        *EVENT_DTYPE.descr,
        ("direction", "U8"),  # inward or outward for currents, up or down for the rest
        ("baseline", np.float64),  # in `unit`
        ("baseline_from", "U12"),  # "before" the event, or the "former decay" that was taken on
        ("amplitude_error", np.float64),  # standard error, in `unit`
        ("rise_10_90_s", np.float64),
        ("half_width_s", np.float64),
        ("area", np.float64),  # in `unit` times seconds
        ("decay_r2", np.float64),  # of one exponential
        ("decay_fast_s", np.float64),  # of two, where these describe the decay better
        ("decay_slow_s", np.float64),
        ("decay_fast_share", np.float64),
        ("reason", "U32"),  # why something is NaN
        ("model_amplitude", np.float64),  # what a network believes
        ("model_rise_s", np.float64),
        ("model_decay_s", np.float64),
    ]
)


def no_events() -> Events:
    """Return an empty event table."""
    return np.zeros(0, EVENT_DTYPE)


@dataclass(frozen=True)
class Trace:
    """One channel of one sweep, as detectors see it.

    Attributes
    ----------
    values : (n_samples,) float32 in `unit`; NaN marks gaps.
    sampling_rate : Hz.
    unit : unit of `values`, e.g. "pA", "mV", "dF/F".
    sweep, channel : where it comes from, counted from 0.
    holding : holding level of the other quantity in SI (V in voltage clamp), or None.
    """

    values: NDArray[np.float32]
    sampling_rate: float
    unit: str
    sweep: int = 0
    channel: int = 0
    holding: float | None = None


@dataclass(frozen=True)
class Option:
    """One number that a user may set on a detector.

    Attributes
    ----------
    name : as it is written in settings, recipes and on the command line.
    unit : of the value, "" for a pure number.
    low, high : smallest and largest value that makes sense, both included.
    default : value where none is given; None where the detector takes it from the recording.
    help : one sentence.
    """

    name: str
    unit: str
    low: float
    high: float
    default: float | None
    help: str


@dataclass(frozen=True)
class DetectionSettings:
    """What to look for and how sure to be.

    Attributes
    ----------
    kind : kind of events; "auto" lets the detector find out.
    preset : "balanced" keeps most events, "precise" the sure ones.
    all_scores : return every candidate, whatever its score.
    options : numbers of the detector by name, as its `options` declare them.
    """

    kind: Kind = "auto"
    preset: Preset = "balanced"
    all_scores: bool = False
    options: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Detector(Protocol):
    """Trace -> events. `kinds` are the kinds of signal it is meant for, `options` what may be set."""

    name: str
    kinds: Sequence[Kind]

    @property
    def options(self) -> Sequence[Option]: ...

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]: ...
