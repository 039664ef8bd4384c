"""A package index on localhost that serves a file cut into tiny wheels, for pip itself to download from."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FakeIndex:
    """Wheels by file name (``demo_part1-1.0-py3-none-any.whl``); change or remove them while it runs."""

    wheels: dict[str, bytes] = field(default_factory=dict[str, bytes])
    url: str = ""
    fetched: list[str] = field(default_factory=list[str])

    def environment(self, base: dict[str, str]) -> dict[str, str]:
        """``base`` with pip's settings replaced by those for this index."""
        others = {name: value for name, value in base.items() if not name.startswith("PIP_")}
        return {**others, "PIP_INDEX_URL": self.url, "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "1"}


def wheel_name(part: int) -> str:
    return f"demo_part{part}-1.0-py3-none-any.whl"


def wheel(part: int, content: bytes, member: str = "demo_part{i}/data/part{i:02d}.bin") -> bytes:
    """A wheel with ``content`` stored (not packed) as ``member``."""
    out = io.BytesIO()
    info = f"demo_part{part}-1.0.dist-info"
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(member.format(i=part), content)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo-part{part}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return out.getvalue()


def cut(content: bytes, parts: int) -> dict[str, bytes]:
    """``content`` as so many wheels."""
    step = -(-len(content) // parts)
    return {wheel_name(i + 1): wheel(i + 1, content[i * step : (i + 1) * step]) for i in range(parts)}


@contextmanager
def serve_wheels(index: FakeIndex) -> Generator[FakeIndex]:
    """Run ``index`` on a free port; its ``url`` is set meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": index}))
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_port}/simple/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    index: FakeIndex

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Tests read ``FakeIndex.fetched`` instead."""

    def do_GET(self) -> None:
        last = self.path.rstrip("/").rsplit("/", 1)[-1]
        if last in self.index.wheels:
            self.index.fetched.append(last)
            return self._send(self.index.wheels[last], "application/octet-stream")
        names = [name for name in self.index.wheels if name.startswith(last.replace("-", "_") + "-")]
        if not names:
            return self.send_error(404)
        links = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
        return self._send(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
