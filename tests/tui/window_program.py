"""A real window under a pseudo-terminal, run by the tests: a scripted model says ``count`` strings of bytes, hostile
or harmless, which are names of files, their content, messages of commits and of the model, too; then it waits for a
signal, or leaves. The ``slow`` one is harmless, and its model takes seconds to close; under the ``full`` one no file
can grow any more after the first message. The file ``ended-cleanly`` says that the application came to its own end.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

from agent.assembly import Talk
from agent.cli import build_parser
from agent.model import Model
from agent.setup import Setup
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel
from tui.app import AgentApp, run_app
from tui.host import Host
from tui.start import wants_no_colour

_ATTACKS = (
    "\x1b]52;c;QUJD\x07", "\x1b]0;title\x07", "\x1b[2J", "\x1b[6n", "\x1bPq#0\x1b\\", "\x1b]8;;http://x\x1b\\", "\x9b2J",  # noqa: E501
    "\x1bc", "\x1b[?1049l", "\u202e", "\U000e0041", "&#x202e;", "[@click=app.quit]x[/]", "[/]", "\x07", "\x0e", "\r",
)  # fmt: skip


def hostile(dice: random.Random) -> str:
    """Bytes of any kind, often with a control sequence between them."""
    data = dice.randbytes(dice.randrange(1, 40)).decode("utf-8", "replace")
    return data[:9] + dice.choice(_ATTACKS) + data[9:]


def commit(message: str) -> None:
    """A commit that says this, as anybody can make one who knows a repository that is cloned here."""
    identity = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
    words = ["commit", "-q", "--allow-empty", "--allow-empty-message", "--no-verify", "-F", "-"]
    subprocess.run(["git", *identity, *words], input=message.replace("\0", "").encode("utf-8", "replace"), check=True)


def fill_disk() -> None:
    """From now on a file ends where it would grow: what a full disk comes to, for this process alone."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


def main() -> None:
    kind, count, *flags = sys.argv[1:]
    dice = random.Random(5)
    said = [hostile(dice) if kind == "hostile" else f"harmless {n} [x](y) `code`" for n in range(int(count))]
    root = Path.cwd()
    subprocess.run(["git", "init", "-q"], check=True)
    script: list[Scripted] = []
    for at in range(0, len(said), 25):
        some = said[at : at + 25]
        name = "".join(each for each in some[0] if each not in "/\0")[:60] or "x"
        (root / name).write_text("\n".join(some[1:9]), encoding="utf-8", errors="replace")
        commit("\n".join(some[2:6]))
        calls = (
            Call("read", {"path": name}),
            Call("bash", {"command": "git log -1; ls"}),
            Call(some[18], {some[19]: some[20]}),
        )
        script.append(Scripted("\n\n".join(some[9:17]), some[17], calls))
        script.append(Scripted("```python\n" + "\n".join(some[21:]) + "\n```\nend"))

    class Slow(ScriptedModel):
        async def close(self) -> None:
            await asyncio.sleep(3)

    async def opener(_setup: Setup, _talk: Talk) -> Model:
        model = Slow if kind == "slow" else ScriptedModel
        return model(script, context_tokens=100_000_000)  # nothing is to be compacted

    async def go() -> None:
        host = Host(build_parser().parse_args(flags), opener)
        app = AgentApp(host, colourless=wants_no_colour(os.environ))

        async def talk() -> None:
            while app.conductor.session is None:  # noqa: ASYNC110 - a look from outside
                await asyncio.sleep(0.02)
            for number in range(len(script) // 2):
                await app.conductor.submit(said[number])
                await asyncio.sleep(0.06)
                if kind == "full" and number == 0:
                    fill_disk()
            app.conductor.say("all is said")

        job = asyncio.create_task(talk())
        try:
            code = await run_app(app)
            (root / "ended-cleanly").touch()
            sys.exit(code)
        finally:
            job.cancel()

    asyncio.run(go())


if __name__ == "__main__":
    main()
