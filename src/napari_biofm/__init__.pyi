from .analyses.description import (
    Result,
    Source,
)
from .analyses.running import (
    analyse,
)
from .api.active_cells import (
    active_cells,
    cell_programs,
)
from .api.analyses import (
    average_event,
    readings,
    step_curve,
)
from .api.cells import (
    Classifier,
    embed,
    fit_classifier,
    measure,
    predict,
)
from .api.channels import (
    Idealization,
    channel_summary,
    idealize,
)
from .api.clicks import (
    click,
    propagate,
)
from .api.clocks import (
    movie_clock,
)
from .api.collections import (
    Collected,
    collect,
    compare_groups,
    fit_between,
    fit_curve,
)
from .api.comparing import which_model
from .api.compounds import (
    compound_head,
    sequence_head,
)
from .api.conditions import (
    dose_response,
    join_conditions,
    profiles,
    read_plate_map,
)
from .api.demixing import (
    demix,
)
from .api.export_files import Exported
from .api.images import open_image, read_image, read_masks, segment
from .api.matching import (
    match_cells,
)
from .api.motion import (
    MotionCorrection,
    correct_motion,
)
from .api.poses import (
    dock,
    join_poses,
    pose_layers,
    pose_table,
    read_poses,
)
from .api.protocols import (
    epochs,
    kinds_of,
    membrane,
)
from .api.rates import (
    SpikeRate,
    spike_rate,
)
from .api.session_report import (
    describe_session,
    session_report,
    validate_session,
)
from .api.sessions import (
    OpenedSession,
    open_session,
    save_session,
)
from .api.signals import (
    Forecast,
    classify_rhythm,
    detect_events,
    detection_quality,
    features,
    forecast,
    read_recording,
    traces,
)
from .api.treatments import (
    treatment_effects,
    treatment_vectors,
)
from .api.vectors import (
    FewLabels,
    few_label_head,
    join_vectors,
)
from .api.what_if import (
    WhatIf,
    what_if,
)
from .batch.correct import (
    correct_masks,
    undo_correction,
)
from .batch.exporting import (
    export,
)
from .batch.recipe import (
    Recipe,
)
from .batch.result import (
    BatchResult,
)
from .batch.run import (
    run_recipe,
)
from .conditions.likeness import (
    similar_effects,
)
from .types import (
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

__version__: str

__all__ = [
    "BatchError",
    "BatchResult",
    "BiofmError",
    "CellsError",
    "Classifier",
    "Collected",
    "ConditionsError",
    "EngineError",
    "Exported",
    "FewLabels",
    "Forecast",
    "Idealization",
    "ImageError",
    "ModelError",
    "MotionCorrection",
    "OpenedSession",
    "Recipe",
    "RecordingError",
    "Result",
    "SessionError",
    "Source",
    "SpikeRate",
    "TimelineError",
    "WhatIf",
    "active_cells",
    "analyse",
    "average_event",
    "cell_programs",
    "channel_summary",
    "classify_rhythm",
    "click",
    "propagate",
    "collect",
    "compare_groups",
    "compound_head",
    "correct_masks",
    "correct_motion",
    "demix",
    "describe_session",
    "detect_events",
    "detection_quality",
    "dock",
    "dose_response",
    "embed",
    "epochs",
    "export",
    "features",
    "few_label_head",
    "fit_between",
    "fit_classifier",
    "fit_curve",
    "forecast",
    "idealize",
    "join_conditions",
    "join_poses",
    "join_vectors",
    "kinds_of",
    "match_cells",
    "measure",
    "membrane",
    "movie_clock",
    "open_image",
    "open_session",
    "pose_layers",
    "pose_table",
    "predict",
    "profiles",
    "read_image",
    "read_masks",
    "read_plate_map",
    "read_poses",
    "read_recording",
    "readings",
    "run_recipe",
    "save_session",
    "segment",
    "sequence_head",
    "session_report",
    "similar_effects",
    "spike_rate",
    "step_curve",
    "traces",
    "treatment_effects",
    "treatment_vectors",
    "undo_correction",
    "validate_session",
    "what_if",
    "which_model",
]
