"""What every package uses: aliases, small frozen dataclasses, Protocols, errors.

Imports numpy only, so that it can be read by the window, the worker and the command line alike.
"""

from napari_biofm.types.arrays import Events, Image, Labels, LazyArray, Vectors, WritableArray
from napari_biofm.types.errors import (
    BatchError,
    BiofmError,
    CellsError,
    ConditionsError,
    EngineError,
    ImageError,
    ModelError,
    RecordingError,
    SessionError,
    TimelineError,
)
from napari_biofm.types.events import (
    EVENT_CLASSES,
    EVENT_DTYPE,
    MEASURED_DTYPE,
    DetectionSettings,
    Detector,
    Kind,
    Option,
    Preset,
    Trace,
    no_events,
)
from napari_biofm.types.images import FeatureMap, Segmentation, SegmentationParameters, as_percentiles
from napari_biofm.types.models import Capabilities, Embedder, Model, P, Prompt, Promptable, Segmenter
from napari_biofm.types.tasks import Progress, ProgressListener, T, Task, relay, run_task

__all__ = [
    "BatchError",
    "BiofmError",
    "Capabilities",
    "CellsError",
    "ConditionsError",
    "DetectionSettings",
    "Detector",
    "EVENT_CLASSES",
    "EVENT_DTYPE",
    "Embedder",
    "EngineError",
    "Events",
    "FeatureMap",
    "Image",
    "ImageError",
    "Kind",
    "Labels",
    "LazyArray",
    "MEASURED_DTYPE",
    "Model",
    "ModelError",
    "Option",
    "P",
    "Preset",
    "Progress",
    "ProgressListener",
    "Prompt",
    "Promptable",
    "RecordingError",
    "Segmentation",
    "SegmentationParameters",
    "Segmenter",
    "SessionError",
    "T",
    "Task",
    "TimelineError",
    "Trace",
    "Vectors",
    "WritableArray",
    "as_percentiles",
    "no_events",
    "relay",
    "run_task",
]
