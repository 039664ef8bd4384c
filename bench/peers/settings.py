"""Which systems can be compared, and with which flags. It starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.peers.children import Child
from bench.peers.completion import Common, Setting, System
from bench.peers.servers import HttpServer, native_command, xllamacpp_command

ONE_SLOT = ("-np", "1", "-b", "512", "-ub", "512", "-fa", "on")
"""One client, and the batch that our engine has; the server's default is four slots."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A target model, and the smaller one that drafts for it: with ``mtp``, over the target's own memory."""

    target: Path
    drafter: Path


def draft_model(pair: Pair, longest: int) -> tuple[str, ...]:
    """A draft model with a fixed length, as the server drafts."""
    return ("-md", str(pair.drafter), "--spec-draft-n-max", str(longest))


def catalogue(pair: Pair) -> dict[str, Setting]:
    """All settings by name."""
    drafted = {longest: draft_model(pair, longest) for longest in (1, 2, 3, 4, 6, 8)}
    short_ngrams = ("--spec-ngram-mod-n-match", "12", "--spec-ngram-mod-n-min", "1", "--spec-ngram-mod-n-max", "16")
    simple = ("--spec-ngram-simple-size-n", "6", "--spec-ngram-simple-size-m", "12")
    speculative = {
        "ngram-mod": ("--spec-type", "ngram-mod"),
        "ngram-mod short": ("--spec-type", "ngram-mod", *short_ngrams),
        "ngram-simple": ("--spec-type", "ngram-simple"),
        "ngram-simple short": ("--spec-type", "ngram-simple", *simple),
        **{f"draft {n}": ("--spec-type", "draft-simple", *flags) for n, flags in drafted.items()},
        **{f"mtp {n}": ("--spec-type", "draft-mtp", *flags) for n, flags in drafted.items()},
        "ngram-mod and draft 3": ("--spec-type", "ngram-mod,draft-simple", *drafted[3], *short_ngrams),
        "ngram-mod and mtp 3": ("--spec-type", "ngram-mod,draft-mtp", *drafted[3], *short_ngrams),
        "checkpoints": ("--ctx-checkpoints", "32", "--checkpoint-min-step", "512", "--cache-ram", "8192"),
    }
    settings = [
        Setting("ours", "ours", options={"controller": "copies"}),
        Setting("ours with drafter", "ours", options={"drafter": str(pair.drafter)}),
        Setting("ours, plain", "ours"),
        *(Setting(f"ours, draft {n}", "ours", options={"drafter": str(pair.drafter), "longest": n}) for n in drafted),
        Setting("Llama", "llama"),
        Setting("Llama, prompt lookup", "llama", options={"prompt_lookup": 10}),
    ]
    for program in ("llama-server", "xllamacpp"):
        settings.append(Setting(f"{program}, defaults", program))
        settings.append(Setting(program, program, ONE_SLOT))
        settings += [Setting(f"{program}, {name}", program, (*ONE_SLOT, *f)) for name, f in speculative.items()]
    return {setting.name: setting for setting in settings}


def build(setting: Setting, common: Common, peers: Path) -> System:
    """The system, not started; raises PeersMissing."""
    if setting.kind == "llama-server":
        return HttpServer(setting, native_command(peers), common)
    if setting.kind == "xllamacpp":
        return HttpServer(setting, xllamacpp_command(peers), common)
    return Child(setting, common)
