"""The worker process of one lane: runs one job after the other and keeps models warm.

Started as `python -m napari_biofm.engine.worker LANE`; the address and the secret of the window come on
standard input, so that neither shows in a process list.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import sys
import threading
from multiprocessing.connection import Client
from typing import Any

from napari_biofm.engine.base import CancelledError, run_steps
from napari_biofm.engine.channel import Channel, UnreadableError
from napari_biofm.engine.portable import portable
from napari_biofm.engine.torch_there import without_torch
from napari_biofm.types import EngineError, Progress


def _listen(channel: Channel, jobs: queue.Queue[Any], cancelled: set[int]) -> None:
    """Read the line until it breaks; jobs are queued, cancellations noted."""
    while True:
        try:
            message = channel.receive()
        except (EOFError, OSError):
            os._exit(0)  # the window is gone; nothing is owed to anybody
        except MemoryError:  # in the middle of a message: the line cannot be used any more
            os._exit(1)
        except UnreadableError as error:
            channel.send(
                "failed", error.number, EngineError(f"The worker process cannot read this job: {error}")
            )
            continue
        if message[0] == "cancel":
            cancelled.add(message[1])
            continue
        if message[0] == "run":
            cancelled.clear()  # the window sends a job when the former has ended; what came too late is void
        jobs.put(message)


def _run(channel: Channel, number: int, call: tuple[Any, ...], cancelled: set[int]) -> None:
    function, args, kwargs = call

    def report(progress: Progress) -> None:
        channel.send("progress", number, progress)

    channel.send("started", number)
    try:
        result = run_steps(function, args, kwargs, report, lambda: number in cancelled)
        channel.send("done", number, result)
    except CancelledError:
        channel.send("cancelled", number)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 (whatever a job raises is sent to the window)
        channel.send("failed", number, portable(without_torch(error)))


def main() -> None:
    """Connect to the window that started this process and serve it until it goes."""
    faulthandler.enable()
    hello = json.loads(sys.stdin.readline())
    if hello["nice"] and hasattr(os, "nice"):
        os.nice(hello["nice"])
    channel = Channel(Client(hello["address"], hello["family"], bytes.fromhex(hello["secret"])))
    jobs: queue.Queue[Any] = queue.Queue()
    cancelled: set[int] = set()
    threading.Thread(target=_listen, args=(channel, jobs, cancelled), daemon=True).start()
    while True:
        kind, number, call = jobs.get()
        if kind == "stop":
            channel.close()
            return
        _run(channel, number, call, cancelled)


if __name__ == "__main__":
    main()
