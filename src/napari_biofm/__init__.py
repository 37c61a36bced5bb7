"""napari-biofm: foundation models for cells and the signals recorded from them.

The package imports nothing heavy by itself; every room is imported where it is used.
"""

__version__ = "0.1.0"
