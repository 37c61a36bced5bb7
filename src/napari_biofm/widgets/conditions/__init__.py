"""The Conditions dock."""

from napari_biofm.widgets.conditions.dock import ConditionsDock

__all__ = ["ConditionsDock"]
