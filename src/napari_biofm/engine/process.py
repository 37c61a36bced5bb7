"""One warm worker process: a crash or a kill there is a message here, not a lost window."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Listener
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from napari_biofm.engine.base import Engine, Job, JobState, Post
from napari_biofm.engine.channel import Channel, UnreadableError
from napari_biofm.engine.threads import QUIET
from napari_biofm.types import EngineError

START_TIMEOUT = 60.0  # seconds for a worker to call back, on a slow disk


class ProcessEngine(Engine):
    """Runs jobs one after the other in a process of its own, started at the first job.

    Pickling and copying of arguments happens on a sender thread, results arrive on a reader thread:
    `submit` returns at once however large the image.
    """

    name = "worker"

    def __init__(self, post: Post | None = None) -> None:
        super().__init__(post)
        self._outbox: SimpleQueue[tuple[str, int, Any] | None] = SimpleQueue()
        self._sender: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._lock = threading.Lock()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, None where none runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def warm_up(self) -> None:
        self._send("hello")

    def close(self) -> None:
        super().close()
        for job in self.jobs:
            job.ended(JobState.CANCELLED)
        if self._sender is not None:
            self._outbox.put(None)
            self._sender.join(timeout=START_TIMEOUT)
        self._stop_worker()

    def _start(
        self, job: Job, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._send("run", job.number, (function, args, kwargs))

    def _cancel(self, job: Job) -> None:
        if self._channel is None:
            job.ended(JobState.CANCELLED)
        else:
            self._send("cancel", job.number)

    # ------------------------------------------------------------------ sender thread

    def _send(self, kind: str, number: int = 0, content: Any = None) -> None:
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="biofm-sender", daemon=True)
            self._sender.start()
        self._outbox.put((kind, number, content))

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            kind, number, content = message
            job = self._jobs.get(number)
            if kind == "run" and (job is None or job.cancel_asked):
                if job is not None:
                    job.ended(JobState.CANCELLED)
                continue
            try:
                channel = self._ensure_worker()
                if kind != "hello":
                    channel.send(kind, number, content)
            except Exception as error:
                if job is not None:
                    job.ended(JobState.FAILED, error=_as_engine_error(job, error))

    def _ensure_worker(self) -> Channel:
        with self._lock:
            if self._channel is not None and self.worker_pid is not None:
                return self._channel
            if self._closed:
                raise EngineError("The engine was closed.")
            secret = secrets.token_bytes(32)
            family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
            with Listener(family=family, authkey=secret) as listener:
                process = self._spawn(listener, family, secret)
                connection = _accept(listener, process)
            self._process, self._channel = process, Channel(connection)
            threading.Thread(
                target=self._read_all, args=(self._channel, process), name="biofm-reader", daemon=True
            ).start()
            return self._channel

    @staticmethod
    def _spawn(listener: Listener, family: str, secret: bytes) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "napari_biofm.engine.worker"],
            stdin=subprocess.PIPE,
            env=_installed_code_only(),
        )
        hello = {"address": listener.address, "family": family, "secret": secret.hex()}
        assert process.stdin is not None
        process.stdin.write(json.dumps(hello).encode() + b"\n")
        process.stdin.close()
        return process

    # ------------------------------------------------------------------ reader thread

    def _read_all(self, channel: Channel, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                kind, number, content = channel.receive()
            except (EOFError, OSError):
                break
            except UnreadableError as error:
                kind, number, content = (
                    "failed",
                    error.number,
                    EngineError(f"The result cannot be read: {error}"),
                )
            job = self._jobs.get(number)
            if job is None:
                continue
            if kind == "started":
                job.started()
            elif kind == "progress":
                job.progressed(content)
            elif kind == "done":
                job.ended(JobState.DONE, content)
            elif kind == "cancelled":
                job.ended(JobState.CANCELLED)
            else:
                job.ended(JobState.FAILED, error=content)
        self._worker_ended(channel, process)

    def _worker_ended(self, channel: Channel, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            if self._channel is channel:
                self._channel = None
        channel.close()
        if self._closed:
            return
        error = EngineError(
            f"The worker process ended in the middle of the job ({_reason(code)}). The viewer and your "
            "layers are safe; start the job again, on a smaller region or another device if memory ran out."
        )
        for job in self.jobs:
            job.ended(JobState.FAILED, error=error)

    def _stop_worker(self) -> None:
        process, channel = self._process, self._channel
        if process is None or process.poll() is not None:
            return
        if channel is not None:
            try:
                channel.send("stop")
                process.wait(timeout=0.5)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                process.terminate()
        try:
            process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def _accept(listener: Listener, process: subprocess.Popen[bytes]) -> Any:
    """Wait for the worker to call back; a worker that dies first is an error, not a hang."""
    arrived: SimpleQueue[Any] = SimpleQueue()

    def wait() -> None:
        try:
            arrived.put(listener.accept())
        except Exception as error:
            arrived.put(error)

    threading.Thread(target=wait, daemon=True).start()
    waited = 0.0
    while waited < START_TIMEOUT:
        try:
            got = arrived.get(timeout=0.1)
        except Empty:
            waited += 0.1
            if process.poll() is not None:
                why = _reason(process.returncode)
                raise EngineError(
                    f"The worker process could not start ({why}). Run 'napari-biofm doctor'."
                ) from None
            continue
        if isinstance(got, Exception):
            raise EngineError(f"The worker process could not be reached: {got}")
        return got
    process.kill()
    raise EngineError(
        f"The worker process did not answer within {START_TIMEOUT:.0f} s. Run 'napari-biofm doctor'."
    )


def _as_engine_error(job: Job, error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    return EngineError(f"'{job.name}' could not be sent to the worker process: {error}")


def _reason(code: int) -> str:
    if code == -9:
        return "killed by signal 9, most often because memory ran out"
    if code < 0:
        return f"stopped by signal {-code}"
    return f"exit code {code}"
