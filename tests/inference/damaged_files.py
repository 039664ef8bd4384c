"""A process that is given damaged KV files one after the other: prints how many were tried, and answered rightly.

llama.cpp aborts on many of them; the tests and the bench look whether this process lives to the end.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from inference.backend.llama_cpp import LlamaCppBackend
from inference.kv_store import KvStore, StoreOptions
from inference.prefix_cache import Disk, PrefixCache
from inference.request import Request, TokensDecoded
from inference.worker import Worker
from tests.constructed_gemma4 import Shape, target

PROMPT = tuple(random.Random(2).choices(range(494, 590), k=160))


def damage(content: bytes, dice: random.Random) -> bytes:
    """Truncated, flipped, overwritten, shifted, or grown."""
    at = dice.randrange(len(content))
    match dice.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]
        case 2:
            noise = dice.randbytes(dice.randrange(1, 4096))
            return content[:at] + noise + content[at + len(noise) :]
        case 3:
            return content[:at] + content[at + 1 :]
        case 4:
            return content + dice.randbytes(dice.randrange(1, 100))
        case _:
            half = len(content) // 2
            return content[half:] + content[:half]


def answer(worker: Worker) -> tuple[int, ...]:
    events = worker.serve(Request("a", PROMPT, 6), lambda: False)
    return tuple(i for event in events if isinstance(event, TokensDecoded) for i in event.ids)


def main(count: int) -> None:
    logging.disable()  # every one of them is reported
    dice = random.Random(1)
    with (
        tempfile.TemporaryDirectory() as place,
        closing(LlamaCppBackend.load(target(Shape(window=32)), n_ctx=512, n_batch=64, n_threads=1)) as backend,
    ):
        options = StoreOptions(Path(place), "model", least_free=0)
        first = PrefixCache(backend, disk=Disk(KvStore(options, backend.info)))
        expected = answer(Worker(backend, first))
        first.close()
        [path] = Path(place).rglob("*.kv")
        content = path.read_bytes()
        right = 0
        for number in range(count + 1):
            path.write_bytes(damage(content, dice) if number else content)
            cache = PrefixCache(backend, disk=Disk(KvStore(options, backend.info)))
            cache.reset()
            answered = answer(Worker(backend, cache))
            right += number > 0 and answered == expected
        print(count, right)


if __name__ == "__main__":
    main(int(sys.argv[1]))
