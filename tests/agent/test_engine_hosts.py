"""Engine hosts as processes, on a constructed Gemma 4: their life, their death, and what their clients see of it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.engine_hosts import ask, end_hosts, host_files, hosted_engine, hosts, log_path, make_way
from agent.engine_settings import EnginePlace, EngineSettings
from agent.engines import make_engine
from agent.model import ResponseFinished, ResponseOptions
from agent.model.local import LocalConversation, LocalModel, LocalSettings
from inference.client import HostedEngine
from inference.errors import EngineLost, ModelLoadError
from inference.host_files import connect, listen, open_folder, running_pid, socket_folder
from inference.in_process import InProcessEngine
from inference.request import Finished, Request, Stats, TokensDecoded
from inference.wire import AskStatus, HostStatus
from tests.constructed_gemma4 import Shape, target
from tests.fakes.confined import TIERS, Confined, folder_at_home
from tools.commands import Access
from tools.sandbox.policy import Tier

pytestmark = pytest.mark.slow

PROMPT = tuple(400 + number % 90 for number in range(300))
LONG = 3000


@dataclass(frozen=True)
class Here:
    """A home of its own for hosts and their clients."""

    state: Path

    def settings(self, model: Path | None = None, context: int = 4096) -> EngineSettings:
        return EngineSettings(model=model or target(Shape()), context=context, state=self.state, kv_disk=64)

    def engine(self, settings: EngineSettings | None = None, idle_seconds: float = 60.0) -> HostedEngine:
        return hosted_engine(settings or self.settings(), idle_seconds, lambda _: None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Here]:
    # Not pytest's folder: the path of a socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    try:
        yield Here(tmp_path / "gemma-agent")
    finally:
        stop_all()
        shutil.rmtree(folder)


def stop_all() -> None:
    assert end_hosts()[1] == []


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


async def read(stream: Any) -> tuple[list[int], Stats]:
    ids: list[int] = []
    stats = Stats()
    async for event in stream:
        if isinstance(event, TokensDecoded):
            ids += event.ids
        elif isinstance(event, Finished):
            stats = event.stats
    return ids, stats


def host_of(settings: EngineSettings) -> HostStatus:
    status = ask(host_files(settings), AskStatus())
    assert isinstance(status, HostStatus)
    return status


def test_a_host_holds_nothing_of_the_program_that_started_it_and_outlives_its_interrupt(here: Here) -> None:
    async def use() -> None:
        engine = here.engine()
        await engine.start()
        pid = host_of(here.settings()).pid
        proc = Path(f"/proc/{pid}")
        assert pid != os.getpid()
        assert os.getsid(pid) == pid
        assert (proc / "stat").read_text().rpartition(")")[2].split()[4] == "0", "it has a terminal"
        assert (proc / "cwd").readlink() == Path("/")
        assert [(proc / f"fd/{number}").readlink() for number in (0, 1)] == [Path(os.devnull)] * 2
        assert (proc / "fd/2").readlink() == log_path(here.state)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
        assert len((await read(engine.submit(Request("a", PROMPT, 4))))[0]) == 4
        await engine.close()

    run(use())
    assert log_path(here.state).read_text() == ""


def test_a_host_that_is_killed_amid_fifty_requests_fails_them_all_and_the_next_go_on_from_disk(here: Here) -> None:
    prompts = [(*PROMPT, 400 + number) for number in range(50)]

    async def use() -> None:
        clients = [here.engine() for _ in range(2)]
        await asyncio.gather(*(client.start() for client in clients))
        before = await read(clients[0].submit(Request("before", PROMPT, 20)))
        pid = host_of(here.settings()).pid
        streams = [
            clients[number % 2].submit(Request(f"{number}", prompt, LONG)) for number, prompt in enumerate(prompts)
        ]
        while not isinstance(await anext(streams[0]), TokensDecoded):
            pass
        os.kill(pid, signal.SIGKILL)
        told = await asyncio.gather(*(read(stream) for stream in streams), return_exceptions=True)
        assert [type(each) for each in told] == [EngineLost] * 50
        assert all("started anew" in str(each) for each in told)
        again = await asyncio.gather(*(read(client.submit(Request("again", PROMPT, 20))) for client in clients))
        assert {tuple(ids) for ids, _ in again} == {tuple(before[0])}
        assert host_of(here.settings()).pid != pid
        await asyncio.gather(*(client.close() for client in clients))

    run(use())


def test_a_native_abort_ends_the_host_alone_and_is_named(here: Here) -> None:
    async def use() -> None:
        engine = here.engine()
        await engine.start()
        stream = engine.submit(Request("a", PROMPT, LONG))
        while not isinstance(await anext(stream), TokensDecoded):
            pass
        os.kill(host_of(here.settings()).pid, signal.SIGABRT)
        with pytest.raises(EngineLost, match=rf"\({target(Shape()).name}: Aborted\)"):
            await read(stream)
        with pytest.raises(EngineLost, match="ask again"):
            engine.tokenizer.encode("a text")
        await engine.start()
        assert engine.tokenizer.encode("a text")
        await engine.close()

    run(use())
    log = log_path(here.state).read_text()
    assert "Fatal Python error: Aborted" in log
    assert not list(Path("/").glob("core*"))


def test_what_a_host_has_read_is_kept_when_it_goes_and_loaded_by_the_next(here: Here) -> None:
    async def use() -> None:
        engine = here.engine()
        await engine.start()
        ids, stats = await read(engine.submit(Request("a", PROMPT, 20)))
        assert (stats.cached_tokens, stats.loaded_tokens) == (0, 0)
        await engine.close()
        await asyncio.to_thread(stop_all)
        engine = here.engine()
        await engine.start()
        again, stats = await read(engine.submit(Request("a", PROMPT, 20)))
        assert stats.loaded_tokens > 250
        assert again == ids
        await engine.close()

    run(use())


def test_a_model_that_cannot_be_loaded_is_named_by_the_host(here: Here, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(target(Shape()).read_bytes()[:-10_000])
    with pytest.raises(ModelLoadError, match=r"damaged\.gguf"):
        run(here.engine(here.settings(damaged)).start())


def test_another_file_under_the_same_name_is_another_host(here: Here, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(target(Shape()).read_bytes())
    before = host_files(here.settings(model))
    assert host_files(here.settings(model)) == before
    model.write_bytes(target(Shape(seed=2)).read_bytes())
    assert host_files(here.settings(model)) != before


def test_hosts_that_nobody_uses_make_way_for_another(here: Here) -> None:
    used, unused = here.settings(), here.settings(context=2048)

    async def use() -> None:
        engines = [here.engine(used), here.engine(unused)]
        await asyncio.gather(*(engine.start() for engine in engines))
        await engines[1].close()
        await asyncio.to_thread(make_way)
        assert [files for files, _ in hosts()] == [host_files(used)]
        assert len((await read(engines[0].submit(Request("a", PROMPT, 3))))[0]) == 3
        await engines[0].close()
        await asyncio.to_thread(make_way, host_files(used))
        assert len(hosts()) == 1, "a host asked itself to go"

    run(use())


def test_the_command_line_shows_hosts_and_ends_them(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine"]) == 0
    assert "No engine runs" in capsys.readouterr().err

    async def use() -> None:
        engine = here.engine()
        await engine.start()
        await read(engine.submit(Request("a", PROMPT, 3)))
        await engine.close()

    run(use())
    assert main(["engine", "status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["served"], told["loaded"]) == (str(target(Shape())), 1, True)
    assert told["pid"] == running_pid(host_files(here.settings()))
    assert told["resident"] >= told["private"] > 10_000_000
    assert main(["engine", "status"]) == 0
    line = capsys.readouterr().out
    assert f"{target(Shape()).name}: process {told['pid']}" in line
    assert "requests served: 1, running: 0" in line
    assert main(["engine", "stop"]) == 0
    assert "1 engine stopped" in capsys.readouterr().err
    assert hosts() == []


def test_the_settings_choose_where_the_engine_runs(here: Here) -> None:
    def make(place: EnginePlace) -> object:
        return make_engine(here.settings(), place, lambda _: None)

    assert isinstance(make(EnginePlace()), HostedEngine)
    assert isinstance(make(EnginePlace(in_process=True)), InProcessEngine)
    (socket_folder().parent / "gemma-agent").chmod(0o755)  # anybody might come in: no host is met there
    assert isinstance(make(EnginePlace()), InProcessEngine)


def test_a_conversation_goes_on_when_its_host_was_killed_between_two_turns(here: Here) -> None:
    options = ResponseOptions(max_tokens=24, temperature=0.0)

    async def turn(conversation: LocalConversation, text: str) -> str:
        conversation.add_user(text)
        async for event in conversation.respond(options):
            if isinstance(event, ResponseFinished):
                return event.message.text
        raise AssertionError

    async def talk(engine: Any, between: Callable[[], None]) -> list[str]:
        model = LocalModel(engine, LocalSettings(name="gemma-4-E2B"))
        await model.start()
        conversation = model.open("Be brief.", [])
        said = [await turn(conversation, "Hello")]
        between()
        conversation.prepare()  # as after every run: nobody is bothered by its failing
        await conversation.read_ahead()
        await model.start()
        said.append(await turn(conversation, "And again"))
        await model.close()
        return said

    def kill() -> None:
        os.kill(host_of(here.settings()).pid, signal.SIGKILL)

    killed = asyncio.run(talk(here.engine(), kill))
    plain = make_engine(here.settings(), EnginePlace(in_process=True), lambda _: None)
    assert killed == asyncio.run(talk(plain, lambda: None))
    assert all(killed)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("network", [False, True])
def test_a_command_in_the_sandbox_cannot_come_to_the_engine(here: Here, tier: Tier, network: bool) -> None:
    files = host_files(here.settings())
    open_folder(files.folder)
    with listen(files) as listener, folder_at_home() as workspace:
        listener.settimeout(5)
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(files.socket)!r}); print('REACHED')"
        outcome = Confined(tier, workspace).run(f"/usr/bin/python3 -c {shlex.quote(code)}", Access(network=network))
        assert "REACHED" not in outcome.completed.output
        assert "Error" in outcome.completed.output
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        reached = connect(files)  # outside of it anybody of the user can
        assert reached is not None
        reached.close()
