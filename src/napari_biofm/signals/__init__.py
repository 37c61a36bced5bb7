"""Files and movies -> `Recording`: lazy, in named units, with sweeps, commands and tags.

`read_recording(path)` opens what is supported; everything else of this room works on a `Recording`
or on plain arrays. Nothing here knows images, Qt or napari.
"""

from napari_biofm.signals.readers import read_part, read_recording
from napari_biofm.signals.recorded import Channel, Tag
from napari_biofm.signals.recording import Recording

__all__ = ["Channel", "Recording", "Tag", "read_part", "read_recording"]
