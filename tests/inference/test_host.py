"""The engine host and its clients from outside: sharing, cancelling, going, broken clients, other builds."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.backend import Backend
from inference.client import HostedEngine
from inference.engine import Engine
from inference.errors import ContextOverflow, EngineClosed, HostUnreachable, InvalidRequest, ModelLoadError
from inference.host_files import HostFiles, all_hosts, connect, listen, open_folder
from inference.host_link import Link
from inference.in_process import InProcessEngine, LoadProgress
from inference.request import (
    Branch,
    BranchDecoded,
    EngineEvent,
    Finished,
    FinishReason,
    Request,
    SamplingParams,
    Scored,
    Stats,
    TokensDecoded,
)
from inference.wire import HEADER, Attach, Cancel, Hello, Leave, Leaving, WireError, decode, encode, payload_length
from tests.fakes.byte_tokenizer import ByteTokenizer
from tests.fakes.host_thread import ENDLESS, HostThreads, host_threads, roomy
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape
from tests.inference.test_in_process import ids_of, read, reason_of

PROMPT = tuple(range(30))


@pytest.fixture
def threads() -> Generator[HostThreads]:
    with host_threads() as threads:
        yield threads


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


async def eventually(condition: Callable[[], bool]) -> None:
    """Bounded by the test's own limit of time."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await asyncio.sleep(0.01)


def test_a_hosted_engine_says_and_generates_what_one_in_this_process_does(threads: HostThreads) -> None:
    requests = [
        Request("a", PROMPT, 20),
        Request("b", (*PROMPT, 7), 5),
        Request("c", PROMPT, 0, branches=(Branch((1,), max_tokens=3), Branch((2,), max_tokens=3))),
        Request("d", PROMPT, 0, score=((1, 2, 3), (4,))),
    ]

    async def use(engine: Engine) -> tuple[Any, ...]:
        await engine.start()
        await engine.start()
        facts = (engine.context_tokens, engine.model_name, engine.architecture)
        events = [[e for e in await read(engine.submit(each)) if type(e) in kinds] for each in requests]
        await engine.close()
        return facts, events

    kinds = (TokensDecoded, BranchDecoded, Scored)
    threads.load = roomy  # how tokens share events depends on the pace
    hosted = asyncio.run(use(threads.client()))
    assert hosted == asyncio.run(use(InProcessEngine(roomy)))
    assert all(hosted[1])


def test_the_vocabulary_of_the_host_is_the_models(threads: HostThreads) -> None:
    async def use() -> None:
        engine = threads.client()
        await engine.start()
        await asyncio.to_thread(compare, engine)
        await engine.close()
        with pytest.raises(EngineClosed):
            _ = engine.tokenizer

    def compare(engine: HostedEngine) -> None:
        there, here = engine.tokenizer, ByteTokenizer()
        assert (there.n_vocab, there.bos_id, there.eog_ids) == (here.n_vocab, here.bos_id, here.eog_ids)
        ids = range(here.n_vocab)
        assert [there.piece(i) for i in ids] == [here.piece(i) for i in ids]
        assert [there.is_control(i) for i in ids] == [here.is_control(i) for i in ids]
        for text in ("", "naïve 漢字 \x00", "x" * 100_000, "\ud800"):
            assert there.encode(text) == here.encode(text)
        with pytest.raises(KeyError):
            there.token_id("<|no such marker|>")
        for outside in (-1, here.n_vocab):
            with pytest.raises(IndexError):
                there.piece(outside)

    run(use())


def test_programs_that_start_at_once_share_one_host_and_hear_it_load(threads: HostThreads) -> None:
    def load(progress: LoadProgress) -> Backend:
        progress(0.5)
        assert everybody.wait(30)
        progress(0.75)
        return roomy(progress)

    everybody = threading.Event()
    threads.load = load
    heard: list[list[float]] = [[] for _ in range(5)]

    async def use() -> None:
        clients = [threads.client(on_load=heard[i].append) for i in range(5)]
        starts = [asyncio.create_task(client.start()) for client in clients]
        await eventually(lambda: bool(threads.hosts) and threads.hosts[0].status().clients == 5)
        everybody.set()
        await asyncio.gather(*starts)
        await asyncio.gather(*(client.close() for client in clients))

    run(use())
    assert threads.launches == 1
    assert all(parts[-2:] == [0.75, 1.0] for parts in heard)


def test_everybody_who_waits_is_told_why_a_model_cannot_be_loaded_and_the_host_goes(threads: HostThreads) -> None:
    def load(_: LoadProgress) -> Backend:
        assert everybody.wait(30)
        raise ModelLoadError("The file m.gguf is damaged.")

    everybody = threading.Event()
    threads.load = load

    async def use() -> None:
        clients = [threads.client() for _ in range(3)]
        starts = [asyncio.create_task(client.start()) for client in clients]
        await eventually(lambda: bool(threads.hosts) and threads.hosts[0].status().clients == 3)
        everybody.set()
        told = await asyncio.gather(*starts, return_exceptions=True)
        assert [(type(each), str(each)) for each in told] == [(ModelLoadError, "The file m.gguf is damaged.")] * 3
        await asyncio.to_thread(threads.wait, 0)
        threads.load = roomy
        await clients[0].start()  # what was wrong may have been put right
        await asyncio.gather(*(client.close() for client in clients))

    run(use())
    assert threads.launches == 2


def test_two_clients_with_equal_request_ids_are_served_by_turns(threads: HostThreads) -> None:
    async def use() -> None:
        one, two = threads.client(), threads.client()
        await asyncio.gather(one.start(), two.start())
        endless = one.submit(Request("same", PROMPT, ENDLESS))
        while not isinstance(await anext(endless), TokensDecoded):
            pass
        assert len(ids_of(await read(two.submit(Request("same", (5, *PROMPT), 20))))) == 20
        one.cancel("same")
        assert reason_of(await read(endless)) is FinishReason.CANCELLED
        with pytest.raises(ValueError, match="still running"):
            _ = [one.submit(Request("twice", PROMPT, ENDLESS)) for _ in range(2)]
        await asyncio.gather(one.close(), two.close())

    run(use())


@pytest.mark.parametrize("how", ["closed", "dropped", "gone"])
def test_what_nobody_reads_any_more_is_ended_at_the_host(threads: HostThreads, how: str) -> None:
    async def use() -> None:
        engine = threads.client()
        await engine.start()
        host = threads.hosts[0]
        stream = engine.submit(Request("a", PROMPT, ENDLESS))
        while not isinstance(await anext(stream), TokensDecoded):
            pass
        assert host.status().running == 1
        if how == "closed":
            await stream.aclose()
        elif how == "dropped":
            del stream
        else:
            await engine.close()
        await eventually(lambda: host.status().running == 0)
        assert host.status().served == 1
        await engine.close()

    run(use())


def test_the_engines_errors_arrive_as_they_are(threads: HostThreads) -> None:
    threads.load = lambda _: LedgerBackend(LedgerShape(n_ctx=100))

    async def use() -> None:
        engine = threads.client()
        with pytest.raises(EngineClosed):
            await read(engine.submit(Request("early", PROMPT, 1)))
        await engine.start()
        with pytest.raises(ContextOverflow) as overflow:
            await read(engine.submit(Request("long", tuple(range(101)), 1)))
        assert (overflow.value.needed, overflow.value.available) == (101, 100)
        wrong: list[Request] = [
            Request("outside", (5, 1000), 1),
            Request("negative", (-1,), 1),
            Request("nothing", (), 1),
            Request("reference", PROMPT, 1, references=((5000,),)),
            Request("score", PROMPT, 0, score=((5000,),)),
            Request("length", PROMPT, -1),
            Request("heat", PROMPT, 1, sampling=SamplingParams(temperature=float("nan"))),
            Request("share", PROMPT, 1, sampling=SamplingParams(top_p=2.0)),
        ]
        for request in wrong:
            with pytest.raises(InvalidRequest):
                await read(engine.submit(request))
        assert reason_of(await read(engine.submit(Request("right", PROMPT, 3)))) is FinishReason.LENGTH
        await engine.close()
        with pytest.raises(EngineClosed):
            await read(engine.submit(Request("late", PROMPT, 1)))
        with pytest.raises(EngineClosed):
            await engine.start()

    run(use())


def test_requests_end_with_a_typed_error_when_the_host_is_asked_to_go_and_the_next_ones_are_served(
    threads: HostThreads,
) -> None:
    async def use() -> None:
        engine = threads.client()
        await engine.start()
        before = engine.tokenizer
        stream = engine.submit(Request("a", PROMPT, ENDLESS))
        while not isinstance(await anext(stream), TokensDecoded):
            pass
        connection = connect(threads.files)
        assert connection is not None
        with closing(connection):
            assert ask(connection, Leave("unused")) == Leaving(False)
            assert ask(connection, Leave("now")) == Leaving(True)
        with pytest.raises(EngineClosed):
            await read(stream)
        await asyncio.to_thread(threads.wait, 0)
        # One waits for the new host, the other is cancelled meanwhile.
        again, cancelled = engine.submit(Request("a", PROMPT, 5)), engine.submit(Request("b", PROMPT, 5))
        engine.cancel("b")
        assert len(ids_of(await read(again))) == 5
        assert await read(cancelled) == [Finished(FinishReason.CANCELLED, Stats())]
        assert engine.tokenizer is before
        assert await asyncio.to_thread(before.encode, "ab") == [97, 98]
        await engine.close()

    run(use())
    assert threads.launches == 2


def test_a_host_goes_when_nobody_has_used_it_for_a_while_and_not_before(threads: HostThreads) -> None:
    threads.idle_seconds = 0.5  # counts from the host's start, so the client must be there by then

    async def use() -> None:
        engine = threads.client()
        await engine.start()
        await asyncio.sleep(1.0)
        assert threads.threads[0].is_alive()
        await engine.close()
        await asyncio.to_thread(threads.wait, 0)

    run(use())
    assert not threads.files.socket.exists()
    assert connect(threads.files) is None


def test_a_client_of_another_build_gets_a_host_of_its_own_and_the_old_one_finishes(threads: HostThreads) -> None:
    async def use() -> None:
        old = threads.client()
        await old.start()
        stream = old.submit(Request("a", PROMPT, ENDLESS))
        while not isinstance(await anext(stream), TokensDecoded):
            pass
        threads.build = "of tomorrow"
        new = threads.client("of tomorrow")
        starting = asyncio.create_task(new.start())
        for _ in range(20):
            assert isinstance(await anext(stream), TokensDecoded)
        await stream.aclose()
        await old.close()
        await starting
        assert reason_of(await read(new.submit(Request("b", PROMPT, 3)))) is FinishReason.LENGTH
        await asyncio.to_thread(threads.wait, 0)
        assert threads.files.socket.exists()  # the successor's
        await new.close()

    run(use())
    assert threads.launches == 2


def test_a_socket_that_a_dead_host_left_is_no_host(threads: HostThreads) -> None:
    listen(threads.files).close()
    assert threads.files.socket.exists()

    async def use() -> None:
        engine = threads.client()
        await engine.start()
        await engine.close()

    run(use())


def ask(connection: socket.socket, message: object) -> Any:
    connection.sendall(encode(message))
    connection.settimeout(20)
    with connection.makefile("rb") as answers:
        header = answers.read(HEADER.size)
        return decode(header, answers.read(payload_length(header)))[0]


WRONG = {
    "a length beyond all bounds": HEADER.pack(0xFFFFFFFF, 0, 0),
    "an unknown kind": HEADER.pack(2, 250, 0) + b"{}",
    "no JSON": HEADER.pack(4, 0, 0) + b"\xff\xfe{[",
    "another message's fields": HEADER.pack(14, 8, 1) + b'[{"build":"x"}]'[:14],
    "what only a host says": encode(Leaving(True)),
    "half a header": b"\x00\x00",
    "half a payload": encode(Hello("x" * 1000))[:500],
    "one number twice": encode(Attach()) + encode(Request("a", PROMPT, ENDLESS), 1) * 2,
}


@pytest.mark.parametrize("what", WRONG)
def test_a_client_that_says_nonsense_is_sent_away_alone(threads: HostThreads, what: str) -> None:
    async def use() -> None:
        engine = threads.client()
        await engine.start()
        stream = engine.submit(Request("a", PROMPT, ENDLESS))
        connection = connect(threads.files)
        assert connection is not None
        with closing(connection):
            connection.sendall(WRONG[what])
            if what.startswith("half"):
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(20)
            await asyncio.to_thread(read_all, connection)
        assert isinstance(await anext(stream), EngineEvent)
        await stream.aclose()
        assert len(ids_of(await read(engine.submit(Request("b", PROMPT, 3))))) == 3
        assert threads.hosts[0].status().clients == 1
        await engine.close()

    run(use())
    assert threads.launches == 1


def read_all(connection: socket.socket) -> None:
    """Until the host closes it."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass


def framed(kind: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), kind, 1) + body


FRAMES: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    st.builds(framed, st.integers(0, 30), st.binary(max_size=40)),
    st.sampled_from([encode(Hello("x")), encode(Attach()), encode(Cancel(), 3), encode(Request("a", PROMPT, 2), 1)]),
)


@pytest.fixture(scope="module")
def lasting() -> Generator[HostThreads]:
    with host_threads() as threads:
        run(threads.launch())
        yield threads


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, max_size=6))
def test_whatever_a_client_says_the_host_serves_others(lasting: HostThreads, frames: list[bytes]) -> None:
    connection = connect(lasting.files)
    assert connection is not None
    with closing(connection):
        try:
            connection.sendall(b"".join(frames))
            connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        connection.settimeout(20)
        read_all(connection)

    async def use() -> None:
        engine = lasting.client()
        await engine.start()
        assert len(ids_of(await read(engine.submit(Request("b", PROMPT, 2))))) == 2
        await engine.close()

    run(use())


def test_a_message_too_long_for_a_frame_is_refused_where_it_is_made() -> None:
    with pytest.raises(WireError):
        encode(Hello("x" * (40 << 20)))


def test_only_the_user_can_come_to_a_host(tmp_path: Path) -> None:
    files = HostFiles(tmp_path / "hosts", "key")
    open_folder(files.folder)
    listen(files).close()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (files.folder, files.socket)]
    assert modes == [0o700, 0o600]
    assert all_hosts(files.folder) == [files]
    files.folder.chmod(0o750)
    with pytest.raises(HostUnreachable, match="yours alone"):
        open_folder(files.folder)
    elsewhere = tmp_path / "link"
    files.folder.chmod(0o700)
    elsewhere.symlink_to(files.folder)
    with pytest.raises(HostUnreachable, match="yours alone"):
        open_folder(elsewhere)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user for a while")
def test_the_kernel_is_asked_who_is_on_the_other_side(threads: HostThreads) -> None:
    program = (
        "import os, socket, sys\n"
        "from pathlib import Path\n"
        "from inference.host_files import HostFiles, connect\n"
        "os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1] + '/key.sock'); print(len(s.recv(100)))\n"
        "connect(HostFiles(Path(sys.argv[1]), 'key'))\n"
    )
    folder = threads.files.folder
    run(threads.launch())
    # As if neither the folder nor the socket kept anybody out.
    for path in (folder.parent, folder, threads.files.socket):
        path.chmod(0o777)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
    )
    assert done.stdout == "0\n", "the host answered"
    assert "belongs to user 0, not to you" in done.stderr


def test_a_link_to_nobody_is_none(tmp_path: Path) -> None:
    assert asyncio.run(Link.open(HostFiles(tmp_path, "key"), "build")) is None
