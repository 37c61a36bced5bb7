"""Start a worker process, talk to it, stop it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Listener
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any

from napari_biofm.engine.base import Lane
from napari_biofm.engine.channel import Channel
from napari_biofm.engine.threads import QUIET
from napari_biofm.types import EngineError

START_TIMEOUT = 60.0  # seconds for a worker to call back, on a slow disk
# added to the priority number of POSIX: bulk work gives way to the window and to clicks
NICE: Mapping[Lane, int] = MappingProxyType({"interactive": 0, "bulk": 5})


class WorkerProcess:
    """A running worker and the line to it.

    Parameters
    ----------
    lane : whose jobs it is going to run; bulk workers have a lower priority for the operating system.
    closing : set where nobody needs the worker any more; a start under way is given up.

    Raises
    ------
    EngineError
        If the process cannot be started, or does not call back.
    """

    def __init__(self, lane: Lane, closing: threading.Event) -> None:
        secret = secrets.token_bytes(32)
        family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
        with Listener(family=family, authkey=secret) as listener:
            self._process = _spawn(lane)
            hello = {
                "address": listener.address,
                "family": family,
                "secret": secret.hex(),
                "nice": NICE[lane],
            }
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps(hello).encode() + b"\n")
                self._process.stdin.close()
                self.channel = Channel(_accept(listener, self._process, closing))
            except BaseException:
                self._process.kill()
                self._process.wait()
                raise

    @property
    def pid(self) -> int | None:
        """Process id, None where it has ended."""
        return self._process.pid if self._process.poll() is None else None

    def wait(self) -> str:
        """Wait for the end of the process and return why it ended, in words."""
        return _reason(self._process.wait())

    def stop(self) -> None:
        """End the process: asked first, then told, then killed."""
        if self.pid is None:
            return
        try:
            self.channel.send("stop")
            self._process.wait(timeout=0.5)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self._process.terminate()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(lane: Lane) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32" and NICE[lane]:
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "napari_biofm.engine.worker", lane],
        stdin=subprocess.PIPE,
        env=_installed_code_only(),
        creationflags=flags,
    )


def _installed_code_only() -> dict[str, str]:
    """Return an environment in which Python imports what is installed, and nothing from the folder of the data.

    A `queue.py` beside the recordings must never run, nor one in a folder that PYTHONPATH names. A package
    that runs from a checkout is found through the checkout's own folder.
    """
    environment = {**QUIET, **os.environ, "PYTHONSAFEPATH": "1"}
    environment.pop("PYTHONPATH", None)
    ours = Path(__file__).resolve().parents[2]
    if ours.name not in ("site-packages", "dist-packages"):
        environment["PYTHONPATH"] = str(ours)
    return environment


def _accept(listener: Listener, process: subprocess.Popen[bytes], closing: threading.Event) -> Any:
    """Wait for the worker to call back; a worker that dies first is an error, not a hang."""
    arrived: SimpleQueue[Any] = SimpleQueue()

    def wait() -> None:
        try:
            arrived.put(listener.accept())
        except Exception as error:  # noqa: BLE001 (handed to the thread that waits)
            arrived.put(error)

    threading.Thread(target=wait, daemon=True).start()
    waited = 0.0
    while waited < START_TIMEOUT:
        try:
            got = arrived.get(timeout=0.1)
        except Empty:
            waited += 0.1
            if closing.is_set():
                raise EngineError("The engine was closed.") from None
            if process.poll() is not None:
                why = _reason(process.returncode)
                raise EngineError(
                    f"The worker process could not start ({why}). Run 'napari-biofm doctor'."
                ) from None
            continue
        if isinstance(got, Exception):
            raise EngineError(f"The worker process could not be reached: {got}")
        return got
    raise EngineError(
        f"The worker process did not answer within {START_TIMEOUT:.0f} s. Run 'napari-biofm doctor'."
    )


def _reason(code: int) -> str:
    if code == -9:
        return "killed by signal 9, most often because memory ran out"
    if code < 0:
        return f"stopped by signal {-code}"
    return f"exit code {code}"
