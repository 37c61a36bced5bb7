"""From a bare clone to a running program with Python alone.

    python3 run.py demo                          the viewer with a worked example
    python3 run.py demo --headless --out DIR     the same without a person: screenshot, tables, report
    python3 run.py test [PYTEST ARGUMENTS]       the tests

Makes `.venv`, installs the project there in one step, checks the system libraries that Qt and OpenGL
need, starts a virtual screen where there is none, and runs. Standard library only; safe to run again.
"""

from __future__ import annotations

import argparse
import ctypes.util
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "biofm-installed"
OLDEST = (3, 11)
WHAT = {"demo": [".[all]"], "test": [".[all]", "--group", "test"]}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # PyTorch's builds without NVIDIA's libraries
REACH_S = 5.0
PYTEST_THREADS = {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"}

# Debian/Ubuntu package -> shared library it brings (None: a program)
LIBRARIES = {
    "libgl1": "GL",
    "libegl1": "EGL",
    "libglib2.0-0": "glib-2.0",
    "libfontconfig1": "fontconfig",
    "libdbus-1-3": "dbus-1",
    "libxkbcommon0": "xkbcommon",
    "libxcb-cursor0": "xcb-cursor",
    "libxcb-icccm4": "xcb-icccm",
    "libxcb-image0": "xcb-image",
    "libxcb-keysyms1": "xcb-keysyms",
    "libxcb-render-util0": "xcb-render-util",
    "libxcb-shape0": "xcb-shape",
    "libxkbcommon-x11-0": "xkbcommon-x11",
}
PROGRAMS = {"xvfb": "Xvfb", "xauth": "xauth"}


def main() -> int:
    """Prepare and run; returns the exit code of what was run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(WHAT))
    parser.add_argument("--reinstall", action="store_true", help="install again even if nothing changed")
    args, rest = parser.parse_known_args()
    if sys.version_info < OLDEST:
        return stop(
            f"Python {'.'.join(map(str, OLDEST))} or newer is needed; this is {platform.python_version()}."
        )
    python = environment(args.what, args.reinstall)
    headless = not has_screen()
    system_libraries(with_screen=headless)
    if args.what == "demo":
        command = [str(python), "-m", "napari_biofm.cli", "demo", *rest]
        if headless and "--headless" not in rest:
            return stop("There is no screen here: add --headless --out DIR for a demo without one.")
    else:
        command = [str(python), "-m", "pytest", *rest]
        os.environ.update({k: v for k, v in PYTEST_THREADS.items() if k not in os.environ})
    return run(command, virtual_screen=headless or "--headless" in rest)


def stop(message: str) -> int:
    """Say why nothing was run."""
    print(f"run.py: {message}", file=sys.stderr)
    return 2


def say(message: str) -> None:
    """Tell what takes time."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


def environment(what: str, reinstall: bool) -> Path:
    """Return the Python of `.venv`, made and filled where it is not yet or the project's needs changed."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    needs = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    done = STAMP.read_text().split() if STAMP.exists() else []
    if python.exists() and not reinstall and needs in done and what in done:
        return python
    if not python.exists():
        say(f"making {VENV.name}")
        try:
            venv.create(VENV, with_pip=True, clear=VENV.exists())
        except (subprocess.CalledProcessError, ModuleNotFoundError):
            install_packages(["python3-venv"], "this Python cannot make environments")
            venv.create(VENV, with_pip=True, clear=True)
    check = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*check, "--upgrade", "pip>=25.1"], check=True, cwd=ROOT)
    torch_for_processors(python, check)
    say("installing the rest; this takes minutes at the first time")
    target = WHAT[what]
    subprocess.run([*check, "--editable", *target], check=True, cwd=ROOT)
    former = [word for word in done if word in WHAT] if needs in done else []
    STAMP.write_text(" ".join([needs, *sorted({*former, what})]))
    return python


def torch_for_processors(python: Path, install: list[str]) -> None:
    """Install the build of torch for processors where no NVIDIA card is seen.

    On Linux, pip's own torch brings 4 GB of libraries for these cards. Where PyTorch's index cannot be reached, or
    torch is there already, everything comes from pip's usual index as before.
    """
    if not sys.platform.startswith("linux") or has_nvidia_card():
        return
    there = [str(python), "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"]
    if subprocess.run(there).returncode == 0:
        return
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=REACH_S):
            pass
        say(f"no NVIDIA card is seen: installing torch for processors from {CPU_INDEX}")
        subprocess.run([*install, "torch", "torchvision", "--index-url", CPU_INDEX], check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        say(
            f"no NVIDIA card is seen, but torch for processors cannot be had from {CPU_INDEX} ({reason}): taking pip's "
            "usual build, several GB; it works without a card too"
        )


def has_nvidia_card() -> bool:
    """Whether the driver of an NVIDIA card is loaded (also in WSL)."""
    return any(Path(p).exists() for p in ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg"))


def has_screen() -> bool:
    """Whether a window can be shown."""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("CI")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def system_libraries(with_screen: bool) -> None:
    """See that Qt and OpenGL find what they load at run time; only Linux lets a user lack it."""
    if not sys.platform.startswith("linux"):
        return
    missing = [package for package, library in LIBRARIES.items() if ctypes.util.find_library(library) is None]
    if with_screen:
        missing += [package for package, program in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        install_packages(missing, "Qt or OpenGL would not start without these system libraries")


def install_packages(packages: list[str], why: str) -> None:
    """Install Debian packages as root, or print the one command that does and stop."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None:
        print(
            f"run.py: {why}. Install what your system calls: {' '.join(packages)}",
            file=sys.stderr,
        )
        sys.exit(2)
    if os.geteuid() != 0:
        print(f"run.py: {why}. Run this and try again:\n  sudo {' '.join(command)}", file=sys.stderr)
        sys.exit(2)
    say(f"installing {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet"], check=True, env=quiet, stdout=subprocess.DEVNULL)
    subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)


def run(command: list[str], virtual_screen: bool) -> int:
    """Run the command, under Xvfb where it must not or cannot use a screen."""
    if virtual_screen and sys.platform.startswith("linux") and shutil.which("Xvfb"):
        command = ["xvfb-run", "--auto-servernum", "--server-args=-screen 0 1600x1200x24", *command]
    elif virtual_screen and not sys.platform.startswith("linux"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        return subprocess.run(command, cwd=ROOT).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
