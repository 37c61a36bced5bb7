"""Numbers that describe sweeps and events; every column has a definition that is printed beside it.

`features(recording, events)` is a Task that returns the table, `definitions(table)` its words, and
`to_csv(table)` its text.
"""

from napari_biofm.events.features.table import definitions, features, to_csv

__all__ = ["definitions", "features", "to_csv"]
