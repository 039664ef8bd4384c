"""The child process of ``children``: loads our engine or the high-level ``Llama`` and answers lines of JSON.

It is run by ``python -m bench.peers.child JSON``, never imported.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from bench.peers.completion import Common, Completion, Reply
from inference.backend import Backend
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters.load import load_drafter
from inference.in_process import EngineOptions, InProcessEngine
from inference.planner import AlwaysDraft, Planner
from inference.request import Finished, Request, SamplingParams, Stats, TokensDecoded
from inference.speculation import make_controller

MARKER = re.compile(r"(<\|\w+\|>|<\|\w+>|<\w+\|>)")


class Program(Protocol):
    """What answers in this process."""

    def complete(self, completion: Completion) -> Reply: ...

    def prepare(self, completion: Completion) -> None: ...

    def encode(self, text: str) -> list[int]: ...

    def close(self) -> None: ...


class OurEngine:
    """``InProcessEngine``. Without options it drafts nothing; with ``longest`` the ``drafter`` always drafts so many
    tokens; else the controller decides, with the ``drafter`` where one is named."""

    def __init__(self, common: Common, options: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._numbers = count()

        def load(_progress: Callable[[float], None]) -> Backend:
            return LlamaCppBackend.load(
                common.model, n_ctx=common.context, n_batch=common.batch, n_threads=common.threads
            )

        def planner(backend: Backend) -> Planner:
            assert isinstance(backend, LlamaCppBackend)
            path = options.get("drafter")
            drafters = [load_drafter(Path(path), common.model, backend, common.threads)] if path else []
            if longest := options.get("longest"):
                return AlwaysDraft(drafters[0], longest)
            return make_controller(backend, None, drafters)

        self._engine = InProcessEngine(load, EngineOptions(planner=planner if options else None))
        self._loop.run_until_complete(self._engine.start())

    def complete(self, completion: Completion) -> Reply:
        return self._loop.run_until_complete(self._complete(completion))

    def prepare(self, completion: Completion) -> None:
        self._loop.run_until_complete(self._complete(completion))

    def encode(self, text: str) -> list[int]:
        tokenizer = self._engine.tokenizer
        ids: list[int] = []
        for part in MARKER.split(text):
            ids += [tokenizer.token_id(part)] if MARKER.fullmatch(part) else tokenizer.encode(part)
        return ids

    def close(self) -> None:
        self._loop.run_until_complete(self._engine.close())

    async def _complete(self, completion: Completion) -> Reply:
        request = Request(
            id=str(next(self._numbers)),
            tokens=completion.prompt,
            max_tokens=completion.max_tokens,
            sampling=SamplingParams(temperature=0.0),
            stop_ids=frozenset(completion.stop),
            checkpoints=completion.checkpoints,
            background=completion.max_tokens == 0,
        )
        began = time.perf_counter()
        first = 0.0
        ids: list[int] = []
        stats = Stats()
        async for event in self._engine.submit(request):
            if isinstance(event, TokensDecoded):
                first = first or time.perf_counter()
                ids += event.ids
            elif isinstance(event, Finished):
                stats = event.stats
        ended = time.perf_counter()
        return Reply(
            ids=tuple(ids),
            cached=stats.cached_tokens,
            prefilled=stats.prefilled_tokens,
            prefill_ms=stats.prefill_ms,
            decode_ms=stats.decode_ms,
            first_ms=1000 * ((first or ended) - began),
            wall_ms=1000 * (ended - began),
            drafted=stats.drafted_tokens,
            accepted=stats.accepted_tokens,
        )


class HighLevelLlama:
    """``llama_cpp.Llama.generate`` at temperature 0; ``prompt_lookup`` tokens are drafted by its own draft model."""

    def __init__(self, common: Common, options: dict[str, Any]) -> None:
        from llama_cpp import Llama
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

        lookup = options.get("prompt_lookup")
        arguments: dict[str, Any] = {
            "model_path": str(common.model),
            "n_ctx": common.context,
            "n_threads": common.threads,
            "n_threads_batch": common.threads,
            "n_batch": common.batch,
            "n_ubatch": common.batch,
            "flash_attn": True,
            "verbose": False,
        }
        if lookup:
            arguments["draft_model"] = LlamaPromptLookupDecoding(num_pred_tokens=lookup)
        self._llama: Any = Llama(**arguments)

    def complete(self, completion: Completion) -> Reply:
        cached = self._common_prefix(completion.prompt)
        began = time.perf_counter()
        first = 0.0
        ids: list[int] = []
        for token in self._llama.generate(list(completion.prompt), temp=0.0, top_k=1, repeat_penalty=1.0):
            first = first or time.perf_counter()
            ids.append(int(token))
            if len(ids) == completion.max_tokens or token in completion.stop:
                break
        ended = time.perf_counter()
        return Reply(
            ids=tuple(ids),
            cached=cached,
            prefilled=len(completion.prompt) - cached,
            prefill_ms=1000 * (first - began),
            decode_ms=1000 * (ended - first),
            first_ms=1000 * (first - began),
            wall_ms=1000 * (ended - began),
        )

    def prepare(self, completion: Completion) -> None:
        """It has no such thing."""

    def encode(self, text: str) -> list[int]:
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))

    def close(self) -> None:
        self._llama.close()

    def _common_prefix(self, prompt: tuple[int, ...]) -> int:
        resident = self._llama.input_ids[: self._llama.n_tokens].tolist()
        same = next((i for i, (a, b) in enumerate(zip(prompt, resident, strict=False)) if a != b), len(resident))
        return min(same, len(prompt) - 1)


def completion_of(question: dict[str, Any]) -> Completion:
    prompt, stop, checkpoints = (tuple(question[name]) for name in ("prompt", "stop", "checkpoints"))
    return Completion(prompt, question["max_tokens"], stop, checkpoints)


def version() -> str:
    from importlib.metadata import version as installed

    return f"llama-cpp-python {installed('llama-cpp-python')}"


def main() -> None:
    given = json.loads(sys.argv[1])
    shared: dict[str, Any] = given["common"]
    common = Common(Path(shared["model"]), shared["context"], shared["threads"], shared["batch"])
    kinds: dict[str, Callable[[Common, dict[str, Any]], Program]] = {"ours": OurEngine, "llama": HighLevelLlama}
    program = kinds[given["kind"]](common, given["options"])
    for line in sys.stdin:
        question = json.loads(line)
        match question.pop("do"):
            case "version":
                answer: Any = version()
            case "encode":
                answer = program.encode(question["text"])
            case "prepare":
                answer = program.prepare(completion_of(question))
            case _:
                answer = asdict(program.complete(completion_of(question)))
        print(json.dumps({"answer": answer}), flush=True)
    program.close()


if __name__ == "__main__":
    main()
