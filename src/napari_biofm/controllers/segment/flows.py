"""Getting the flows of masks back that were made in another session, so that thresholds move again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import SHOWN, plane_of
from napari_biofm.controllers.common.layers import full_data, layer_by_id
from napari_biofm.images.protocols import StackOptions
from napari_biofm.types import Segmentation, SegmentationParameters


@dataclass(frozen=True)
class Recipe:
    """How the masks of a labels layer were made: image layer, model, parameters, and how planes were joined."""

    image: Any
    model: str
    parameters: SegmentationParameters
    stack: StackOptions | None

    def pixels(self, viewer: Any) -> Any:
        """Return the pixels they were made from, a single plane as it is shown now."""
        return (
            plane_of(viewer, self.image, SHOWN) if self.stack is None else np.asarray(full_data(self.image))
        )


def recipe_of(viewer: Any, session: Any) -> Recipe | None:
    """Return the recipe of the labels in play, from what was written beside them; None where there is none."""
    labels, image = layer_by_id(viewer, session.labels), layer_by_id(viewer, session.image)
    made = {} if labels is None else labels.metadata.get("biofm", {})
    model = made.get("choice") or made.get("model")
    if image is None or not model or made.get("parts") or made.get("channels"):
        return None  # a large image keeps no flows; channels of several layers are not put together again
    known = SegmentationParameters.__dataclass_fields__
    parameters = {k: v for k, v in dict(made.get("parameters", {})).items() if k in known}
    stack = StackOptions(**made["stack"]) if made.get("stack") else None
    return Recipe(image, str(model), SegmentationParameters(**parameters), stack)


def describe_loaded(found: Segmentation) -> str:
    """Return in words how much the network had to do for the flows."""
    tiles, computed = found.provenance.get("tiles"), found.provenance.get("computed")
    if tiles is None or computed is None:
        return "Flows are here: thresholds can be changed."
    return f"Flows are here ({tiles - computed} of {tiles} tiles were kept): thresholds can be changed."
