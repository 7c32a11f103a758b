"""A stand-in for the Hugging Face Hub on this machine: serves folders the way `snapshot_download` asks for them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves repositories ``org/...``, each with the revisions ``main`` and ``v1``.

    ``org/gated`` shows its list but refuses its files, ``org/closed`` refuses both, ``org/cut``
    breaks off its weights until ``/mend`` was asked for, and ``/stop`` ends the server.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.mended = False
        self.given: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts == ["mend"]:
            self.server.mended = True
            self._json({})
        elif parts == ["stop"]:
            self._json({})
            threading.Thread(target=lambda: (self.server.shutdown(), self.server.server_close())).start()
        elif parts[:2] == ["api", "models"] and len(parts) == 6:
            self._listing("/".join(parts[2:4]), parts[4], parts[5])
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
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
        elif revision not in ("main", "v1", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            return True
        return False

    def _listing(self, repository: str, kind: str, revision: str) -> None:
        if not self._known(repository, revision):
            return
        paths = sorted(path for path in self.server.folder.iterdir() if path.is_file())
        if kind == "tree":
            self._json([{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": _etag(p)} for p in paths])
        else:
            self._json({"id": repository, "sha": COMMIT, "siblings": [{"rfilename": path.name} for path in paths]})

    def _file(self, repository: str, revision: str, name: str) -> None:
        if not self._known(repository, revision):
            return
        path = self.server.folder / name
        if repository == "org/gated":
            return self._refuse(403, "GatedRepo")
        if not path.is_file():
            return self._refuse(404, "EntryNotFound")
        body = path.read_bytes()
        self.send_response(200)
        for header, value in (("ETag", f'"{_etag(path)}"'), ("X-Repo-Commit", COMMIT), ("Content-Length", str(len(body)))):
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if repository == "org/cut" and name.endswith(".safetensors") and not self.server.mended:
            self.close_connection = True
            return None
        self.server.given.append(f"{repository}/{name}")
        self.wfile.write(body)
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
def serving(folder: Path) -> Iterator[Hub]:
    """Serves a folder's files under every repository's name."""
    hub = Hub(folder)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join(10)
