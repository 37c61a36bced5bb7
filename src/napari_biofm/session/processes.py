"""Whether a process that wrote something is still there, on this computer or on another one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path


@cache
def this_host() -> str:
    """Return the name of what has one table of processes: this computer, or this container on it."""
    parts = [socket.gethostname()]
    for read in (_boot, _namespace):
        try:
            parts.append(read())
        except OSError:
            continue  # not Linux, or /proc is hidden: the name of the computer has to do
    return " ".join(parts)


def started(pid: int) -> str | None:
    """Return when a process of this host was started, in whatever the system says it; None where there is none.

    Numbers of processes are used again, in containers at once; together with this they are not.
    """
    if sys.platform == "win32":
        return _started_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it belongs to somebody else
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return _started_ps(pid)
    return None if fields[0] == "Z" else fields[19]  # a zombie holds its number only


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def _started_ps(pid: int) -> str | None:
    """Ask `ps`, as macOS has no /proc."""
    try:
        told = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip() or None


def _started_windows(pid: int) -> str | None:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    times = [wintypes.FILETIME() for _ in range(4)]
    try:
        known = kernel.GetProcessTimes(handle, *[ctypes.byref(t) for t in times])
    finally:
        kernel.CloseHandle(handle)
    has_ended = times[1].dwLowDateTime or times[1].dwHighDateTime
    return f"{times[0].dwHighDateTime}:{times[0].dwLowDateTime}" if known and not has_ended else None
