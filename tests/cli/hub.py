"""A stand-in for the Hugging Face Hub on this machine: serves a folder as models and data sets, well or badly."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cli.support import Done, process

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# huggingface_hub reads its variables when it is imported, so all steps run in one other process.
DRIVER = """
import json, os, sys, time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from urllib.request import urlopen
wait = time.sleep
time.sleep = lambda seconds: wait(min(seconds, 0.02))  # no patience between attempts
import babyeval
from babyeval.card import load_card
from babyeval.cli.main import main
from babyeval.ranking import RankingTask
for card in sorted(Path("tasks").glob("*/card.toml")):
    babyeval.register_task(RankingTask(load_card(card), card.parent.resolve(), None))
done = {}
for name, arguments in json.loads(sys.argv[1]).items():
    if name.startswith("/spoil"):
        place = Path(arguments[0])
        for path in [place] if place.is_file() else place.iterdir():
            path.write_bytes(b"spoilt" + path.read_bytes()[6:])
    elif name.startswith("/"):
        with urlopen(os.environ["HF_ENDPOINT"] + name.split()[0]) as answer:
            done[name] = (0, answer.read().decode(), "")
        wait(0.5)
    else:
        sys.argv = ["babyeval", *arguments]
        out, err, code = StringIO(), StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as stop:
                code = stop.code
        done[name] = (code or 0, out.getvalue(), err.getvalue())
print("\\n" + json.dumps(done))
"""


class Hub(ThreadingHTTPServer):
    """Serves models and data sets ``org/...``, each with the revisions ``main`` and ``v1``, which are one, and further branches.

    ``org/gated`` shows its list but refuses its files, ``org/closed`` refuses both. Until ``/mend``
    is asked for, ``org/cut`` breaks off weights and every data file but the first, and
    ``org/changed`` gives other bytes than it has. ``org/halting`` breaks off in the middle of a
    file when it is asked for the first time. ``/given`` tells what was given, and ``/stop`` ends
    the server.
    """

    daemon_threads = True

    def __init__(self, folder: Path, branches: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits = {"main": COMMIT, "v1": COMMIT, **{name: hashlib.sha1(name.encode()).hexdigest() for name in branches}}  # noqa: S324
        self.folders = {"main": folder, "v1": folder, COMMIT: folder, **branches}
        self.folders |= {self.commits[name]: path for name, path in branches.items()}
        self.mended = False
        self.stopped = False
        self.given: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if self.server.stopped:  # a connection that was kept open
            self.close_connection = True
        elif parts == ["mend"]:
            self.server.mended = True
            self._json({})
        elif parts == ["stop"]:
            self._json({})
            self.server.stopped = True
            threading.Thread(target=lambda: (self.server.shutdown(), self.server.server_close())).start()
        elif parts == ["given"]:
            self._json(self.server.given)
        elif parts[:1] == ["api"] and parts[1] in ("models", "datasets") and len(parts) == 6:
            self._listing("/".join(parts[2:4]), parts[4], parts[5])
        elif parts[:2] == ["api", "models"] and parts[4:] == ["refs"]:
            self._refs("/".join(parts[2:4]))
        elif len(file := parts[parts[0] == "datasets" :]) >= 5 and file[2] == "resolve":
            self._file("/".join(file[:2]), file[3], "/".join(file[4:]))
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def _known(self, repository: str, revision: str) -> bool:
        if repository == "org/closed":
            self._refuse(401, "GatedRepo")
        elif not repository.startswith("org/") or repository == "org/absent":
            self._refuse(404, "RepoNotFound")
        elif revision not in self.server.folders:
            self._refuse(404, "RevisionNotFound")
        else:
            return True
        return False

    def _refs(self, repository: str) -> None:
        if self._known(repository, "main"):
            about = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in self.server.commits.items()]
            self._json({"branches": about, "converts": [], "tags": []})

    def _listing(self, repository: str, kind: str, revision: str) -> None:
        if not self._known(repository, revision):
            return
        folder = self.server.folders[revision]
        paths = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        if kind == "tree":
            self.server.given.append(f"{repository}, list")
            self._json([{"type": "file", "path": n, "size": p.stat().st_size, "oid": _etag(p)} for n, p in paths.items()])
        else:
            sha = self.server.commits.get(revision, revision)
            self._json({"id": repository, "sha": sha, "siblings": [{"rfilename": name} for name in paths]})

    def _file(self, repository: str, revision: str, name: str) -> None:
        if not self._known(repository, revision):
            return
        path = self.server.folders[revision] / name
        if repository == "org/gated":
            return self._refuse(403, "GatedRepo")
        if not path.is_file():
            return self._refuse(404, "EntryNotFound")
        body = path.read_bytes()
        if repository == "org/changed" and not self.server.mended:
            body = body[::-1]
        self.send_response(200)
        commit = self.server.commits.get(revision, revision)
        for header, value in (("ETag", f'"{_etag(path)}"'), ("X-Repo-Commit", commit), ("Content-Length", str(len(body)))):
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if repository == "org/cut" and name.endswith((".safetensors", "b.jsonl", "c.jsonl")) and not self.server.mended:
            self.close_connection = True
            return None
        halts = repository == "org/halting" and f"{repository}/{name}" not in self.server.given
        self.server.given.append(f"{repository}/{name}")
        self.wfile.write(body[: len(body) // 2] if halts else body)
        self.close_connection = halts
        return None

    def _json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "refused by the tests")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324


@contextmanager
def serving(folder: Path, branches: Mapping[str, Path] | None = None) -> Iterator[Hub]:
    """Serves a folder's files under every repository's name, and other folders' as its further branches."""
    hub = Hub(folder, branches or {})
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join(10)


def ends_of(steps: Mapping[str, Sequence[str]], hub: Hub, place: Path) -> dict[str, Done]:
    """Runs commands one after the other in one other process, with the tasks below ``place / "tasks"`` besides the built-in ones.

    A step like ``/mend`` or ``/given after all`` is asked of the hub by its first word; ``/spoil`` damages the file, or
    the files of the folder, that it names.
    """
    env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(place / "home"), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = process(json.dumps(steps), cwd=place, env=env, python=("-c", DRIVER))
    assert done.code == 0, done.err
    assert "Retrying in" not in done.err, "the library's own lines"
    ends = {name: Done(*end) for name, end in json.loads(done.out.splitlines()[-1]).items()}
    for name, end in ends.items():
        assert "Traceback" not in end.out + end.err, (name, end.err)
    return ends
