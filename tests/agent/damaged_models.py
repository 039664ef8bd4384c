"""Model files that are damaged, and what a program hears of them; for tests and for the gate at full size."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.engine import Engine
from inference.errors import EngineError, ModelLoadError
from inference.request import Finished, Request

PROMPT = tuple(400 + number % 90 for number in range(40))
_HEADER = 16_000  # bytes at the beginning in which settings and places of weights stand
MakeEngine = Callable[[Path], Engine]


@dataclass(frozen=True)
class Heard:
    """What came of one file: the error's sentence, or nothing where an answer came."""

    damage: str
    sentence: str | None
    names_file: bool


def damage(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """One damage and what it makes of a file."""
    where = draw.choice((_HEADER, len(content)))
    place = draw.randrange(where)
    match draw.choice(("cut", "zeros", "bits", "noise", "longer")):
        case "cut":
            return f"cut at {place}", content[:place]
        case "zeros":
            length = draw.randrange(1, 5_000)
            return f"{length} zeros at {place}", content[:place] + bytes(length) + content[place + length :]
        case "bits":
            made = bytearray(content)
            for _ in range(draw.randrange(1, 40)):
                made[draw.randrange(where)] ^= 1 << draw.randrange(8)
            return f"bits within {where}", bytes(made)
        case "noise":
            noise = draw.randbytes(draw.randrange(1, 3_000))
            return f"{len(noise)} of noise at {place}", content[:place] + noise + content[place + len(noise) :]
        case _:
            extra = draw.randbytes(draw.randrange(1, 5_000))
            return f"{len(extra)} more at {place}", content[:place] + extra + content[place:]


async def hear(made: str, path: Path, make_engine: MakeEngine) -> Heard:
    """Start an engine on a file and ask it something; anything but an EngineError is raised."""
    try:
        engine = make_engine(path)
        try:
            await engine.start()
            ended = False
            async for event in engine.submit(Request("damaged", PROMPT, 8)):
                ended = isinstance(event, Finished)
            assert ended
        finally:
            await engine.close()
    except EngineError as error:
        return Heard(made, str(error), isinstance(error, ModelLoadError) and path.name in str(error))
    return Heard(made, None, names_file=False)


async def hear_of_many(count: int, content: bytes, folder: Path, make_engine: MakeEngine) -> list[Heard]:
    """So many damaged copies of a model with this content, one after the other."""
    draw = random.Random(20261128)
    heard: list[Heard] = []
    for number in range(count):
        made, damaged = damage(content, draw)
        path = folder / f"damaged-{number}.gguf"
        path.write_bytes(damaged)
        heard.append(await hear(made, path, make_engine))
        path.unlink()
    return heard
