"""napari-biofm: foundation models for cells and the signals recorded from them.

    import napari_biofm as biofm

    masks = biofm.segment("field.tif").masks
    events = biofm.detect_events("cell3.abf")

Every name below is imported when it is used first; importing the package costs next to nothing and never loads torch.
The functions are those that the command line and the docks call. `__init__.pyi` tells editors and type checkers what
there is.
"""

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
