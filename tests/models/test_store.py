"""Downloads resume, verify, and never leave half a file under a model's name."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from napari_biofm.models import downloads, registry, store
from napari_biofm.types import ModelError, run_task

WEIGHTS = bytes(range(256)) * 20_000  # 5 MB


class _Server(BaseHTTPRequestHandler):
    """Serves WEIGHTS, knows Range, and hangs up after `cut` bytes when told to."""

    cut: int | None = None
    ranges: list[str | None] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = WEIGHTS[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, type(self).cut = type(self).cut, None
        self.wfile.write(body[:cut])

    def log_message(self, *args):
        """Keep the test's output quiet."""


@pytest.fixture
def server():
    _Server.cut, _Server.ranges = None, []
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/weights"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def entry(monkeypatch, server):
    """A registered model that the local server publishes."""
    known = registry.ModelEntry(
        name="tiny",
        family="sam",
        title="a test",
        urls=(server,),
        file_name="tiny.pth",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        size=len(WEIGHTS),
        licence="MIT",
        licence_note="free",
        memory=1,
        requires=("numpy",),
    )

    def install(**changes):
        monkeypatch.setattr(registry, "REGISTRY", (replace(known, **changes),))

    install()
    known_install = install
    return known_install


def test_a_download_shows_progress_and_ends_verified(entry, tmp_path):
    steps = []
    task = downloads.download("tiny", tmp_path)
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            path = stop.value
            break
    assert path.read_bytes() == WEIGHTS
    assert steps[0].done == 0 and steps[-1].done == len(WEIGHTS) == steps[-1].total
    assert "verified" in steps[-1].message
    assert store.resolve("tiny", tmp_path).sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_a_broken_download_leaves_no_model_and_is_continued(entry, tmp_path):
    _Server.cut = 2_000_000
    with pytest.raises(ModelError, match="could not be downloaded"):
        run_task(downloads.download("tiny", tmp_path))
    assert not (tmp_path / "tiny.pth").exists()
    left = (tmp_path / "tiny.pth.part").stat().st_size
    assert 0 < left <= 2_000_000
    assert run_task(downloads.download("tiny", tmp_path)).read_bytes() == WEIGHTS
    assert _Server.ranges[-1] == f"bytes={left}-"


def test_a_cancelled_download_is_continued(entry, tmp_path):
    task = downloads.download("tiny", tmp_path)
    while next(task).done < 3_000_000:
        pass
    task.close()
    assert not (tmp_path / "tiny.pth").exists()
    run_task(downloads.download("tiny", tmp_path))
    assert _Server.ranges[-1] is not None
    assert (tmp_path / "tiny.pth").read_bytes() == WEIGHTS


def test_a_wrong_file_is_refused_and_thrown_away(entry, tmp_path):
    entry(sha256="0" * 64)
    with pytest.raises(ModelError, match="SHA-256"):
        run_task(downloads.download("tiny", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_mirror_serves_when_the_source_is_down(entry, server, tmp_path):
    entry(urls=("http://127.0.0.1:9/none", server))
    assert run_task(downloads.download("tiny", tmp_path)).read_bytes() == WEIGHTS


def test_without_a_published_digest_the_first_one_is_recorded_and_kept(entry, tmp_path):
    entry(sha256=None)
    messages = [step.message for step in downloads.download("tiny", tmp_path)]
    assert "recorded" in messages[-1]
    (tmp_path / "tiny.pth").write_bytes(WEIGHTS[:-1] + b"x")
    with pytest.raises(ModelError, match="recorded at its first download"):
        store.resolve("tiny", tmp_path)


def test_offline_names_the_file_to_copy(entry, tmp_path, monkeypatch):
    monkeypatch.setenv(downloads.OFFLINE_VARIABLE, "1")
    with pytest.raises(ModelError, match=r"tiny\.pth"):
        run_task(downloads.download("tiny", tmp_path))
    assert _Server.ranges == []


def test_a_folder_of_ones_own_is_used(entry, tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert run_task(downloads.download("tiny")) == tmp_path / "mine" / "tiny.pth"


def test_unmet_needs_stop_before_the_connection(entry, tmp_path):
    entry(requires=("no_such_package_anywhere",))
    with pytest.raises(ModelError, match="no_such_package_anywhere"):
        run_task(downloads.download("tiny", tmp_path))
    assert _Server.ranges == []


def test_a_file_changed_on_disk_is_refused(entry, tmp_path):
    run_task(downloads.download("tiny", tmp_path))
    (tmp_path / "tiny.pth").write_bytes(WEIGHTS[:1000])
    with pytest.raises(ModelError, match="delete it"):
        store.resolve("tiny", tmp_path)
    with pytest.raises(ModelError):
        run_task(store.verify("tiny", tmp_path))


def test_a_model_that_is_not_here_says_how_to_get_it(entry, tmp_path):
    with pytest.raises(ModelError, match="models download tiny"):
        store.resolve("tiny", tmp_path)
