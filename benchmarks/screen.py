"""Give a benchmark a screen: on Linux without one it starts again under Xvfb."""

from __future__ import annotations

import os
import shutil
import sys


def ensure_screen() -> None:
    """Return where a window can be shown; else replace this process by itself under `xvfb-run`."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    if shutil.which("xvfb-run") is None:
        sys.exit("This benchmark needs a screen; on Debian: apt-get install xvfb xauth")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", sys.executable, "-W", "ignore", *sys.argv]
    os.execvp(command[0], command)
