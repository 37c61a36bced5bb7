"""`python -m napari_biofm.cli`, where the console script is not on the path."""

import sys

from napari_biofm.cli import main

if __name__ == "__main__":
    sys.exit(main())
