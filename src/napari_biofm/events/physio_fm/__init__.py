"""physio-FM, the foundation model for physiological signals. Nothing here imports torch until it is run."""

from napari_biofm.events.physio_fm.model import PhysioFM

__all__ = ["PhysioFM"]
