"""A model hub on localhost: listing, HEAD and GET with ranges and etags, and switches for what goes wrong.

It announces no xet storage, so clients fetch over plain HTTP.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """What the hub holds and how it misbehaves; change the switches while it runs.

    ``repositories``: "owner/name" -> file name -> content.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    break_after: list[int] = field(default_factory=list[int])  # bytes of each next answer, then the line goes dead
    corrupt: bool = False  # the content sent is not what the listing promised
    short: int = 0  # so many bytes are missing from what is sent, and nobody says so
    gated: bool = False
    unauthorized: bool = False
    status: int = 0  # answer everything with this
    silent: threading.Event = field(default_factory=threading.Event)  # set: listings are never answered
    ranges: bool = True
    endpoint: str = ""
    requests: list[str] = field(default_factory=list[str])  # "GET /path bytes=10-"

    def gets(self, name: str) -> list[str]:
        """The GET requests for a file."""
        return [line for line in self.requests if line.startswith("GET") and f"/resolve/main/{name}" in line]


@contextmanager
def serve(hub: FakeHub) -> Generator[FakeHub]:
    """Run ``hub`` on a free port; its ``endpoint`` is set meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.silent.clear()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Tests read ``FakeHub.requests`` instead."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if self.hub.status:
            return self._error(self.hub.status, "")
        if self.hub.unauthorized:
            return self._error(401, "")
        if path.startswith("/api/models/"):
            return self._listing(path.removeprefix("/api/models/"))
        repo, _, name = path.strip("/").partition("/resolve/main/")
        content = self.hub.repositories.get(repo, {}).get(name)
        if self.hub.gated:
            return self._error(403, "GatedRepo")
        if content is None:
            return self._error(404, "EntryNotFound" if repo in self.hub.repositories else "RepoNotFound")
        return self._content(content, body)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _listing(self, repo: str) -> None:
        while self.hub.silent.is_set():
            threading.Event().wait(0.05)
        files = self.hub.repositories.get(repo.split("/revision/")[0])
        if files is None:
            return self._error(404, "RepoNotFound")
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": {"sha256": _sha(content), "size": len(content), "pointerSize": 134},
            }
            for name, content in files.items()
        ]
        answer = {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "private": False, "siblings": siblings}
        answer |= {"gated": "manual" if self.hub.gated else False, "tags": [], "downloads": 0, "likes": 0}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def _content(self, content: bytes, body: bool) -> None:
        etag, size = _sha(content), len(content)
        if self.hub.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:-1] + bytes([content[-1] ^ 0xFF])
        content = content[: size - self.hub.short]
        start = 0
        asked = self.headers.get("Range", "")
        if self.hub.ranges and asked.startswith("bytes="):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(size))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if not body:
            return
        if self.hub.break_after:
            self.wfile.write(content[start : start + self.hub.break_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(content[start:])


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
