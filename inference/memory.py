"""How much memory is free, how much a model needs, and which context fits.

It asks the operating system and the model's header only; it loads nothing and knows no GPU memory: callers who offload
pass what their device has free as ``available``.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from inference.errors import NotEnoughMemory
from inference.gguf_header import GgufHeader

MIB = 1 << 20
ASSISTANT = "gemma4-assistant"  # the architecture of Gemma 4's own drafters
CONTEXT_STEP = 256  # llama.cpp pads the cells of its KV cache to this
MINIMUM_CONTEXT = 4_096  # below it, system prompt, tools and one file leave no room for an answer
N_UBATCH = 512  # rows computed at once, the backend's default
LOGIT_ROWS = 64
"""Rows of one batch that may ask for logits: llama.cpp reserves them ahead (512 rows of 151,936 logits are 297 MiB, 64
are 37), and aborts the process when more are asked for. It bounds a draft with its verification."""
MARGIN_BYTES = 384 * MIB  # Python with its libraries, tokenizer tables (~150 MiB at 262k tokens), tools that run beside

# Bytes per element: f16, and ggml blocks of 32 elements with one f16 scale.
_KV_TYPES = {"f16": 2.0, "bf16": 2.0, "f32": 4.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_NO_LIMIT = 1 << 60  # cgroup v1 writes "no limit" as a number just below 2**63


@dataclass(frozen=True, slots=True)
class KvShape:
    """What one token costs in the KV cache, in elements: in layers that see everything, and in sliding layers.

    ``window`` is the sliding window in tokens; 0 where every layer sees everything.
    """

    full_elements: int
    sliding_elements: int
    window: int


def kv_shape(header: GgufHeader) -> KvShape:
    """The KV geometry from the header's ``attention.*`` keys (those of gemma4 and of plain transformers such as qwen2).

    Layers are taken as full where the file does not say which of them slide: an upper bound, never too little.
    """
    prefix = f"{header.architecture}.attention."
    heads = header.per_layer(prefix + "head_count_kv", header.integer(prefix + "head_count"))
    head_count = max(header.per_layer(prefix + "head_count", 1), default=1)
    head_size = header.integer(f"{header.architecture}.embedding_length") // max(1, head_count)
    key = header.integer(prefix + "key_length", head_size)
    value = header.integer(prefix + "value_length", head_size)
    key_sliding = header.integer(prefix + "key_length_swa", key)
    value_sliding = header.integer(prefix + "value_length_swa", value)
    window = header.integer(prefix + "sliding_window")
    slides = header.per_layer(prefix + "sliding_window_pattern") if window else (0,) * header.n_layers
    # The last layers of E2B and E4B read the KV of earlier ones and own none.
    owners = header.n_layers - header.integer(prefix + "shared_kv_layers")
    full = sum(n for n, sliding in zip(heads[:owners], slides, strict=False) if not sliding) * (key + value)
    sliding = sum(n for n, slides_ in zip(heads[:owners], slides, strict=False) if slides_)
    return KvShape(full, sliding * (key_sliding + value_sliding), window)


def kv_bytes(header: GgufHeader, n_ctx: int, kv_type: str = "f16") -> int:
    """Bytes of the KV cache for one sequence of ``n_ctx`` tokens, sliding layers held at their window (swa_full off).

    The window part holds the window and one micro-batch, as llama.cpp allocates it. Raises KeyError for a ``kv_type``
    other than f16, bf16, f32, q8_0 and q4_0.
    """
    shape = kv_shape(header)
    cells = _padded(n_ctx)
    window_cells = min(cells, _padded(shape.window + N_UBATCH))
    elements = cells * shape.full_elements + window_cells * shape.sliding_elements
    return int(elements * _KV_TYPES[kv_type])


def compute_bytes(header: GgufHeader, n_ctx: int) -> int:
    """Bytes of llama.cpp's work buffers with flash attention, as the backend sets it up; see ``work_bytes``."""
    return work_bytes(header.n_vocab, header.integer(f"{header.architecture}.embedding_length"), n_ctx)


def work_bytes(n_vocab: int, width: int, n_ctx: int) -> int:
    """Work buffers of a model known by its vocabulary size and embedding width: logits, activations, attention mask.

    An upper bound fitted to what llama.cpp reports: qwen2 0.5B takes 40 MiB at 4,096 tokens and 68 at 32,768, 1.5B
    69 and 97; this gives 51 and 79, 71 and 99.
    """
    return LOGIT_ROWS * 4 * n_vocab + N_UBATCH * (2 * n_ctx + 64 * width)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A model as it is to be run: ``model_bytes`` of weights, and a drafter beside it, where there is one."""

    header: GgufHeader
    model_bytes: int
    kv_type: str = "f16"
    drafter: DrafterFootprint | None = None

    def bytes_at(self, n_ctx: int) -> int:
        """Everything that running it with ``n_ctx`` tokens takes, a margin for the program itself included."""
        own = kv_bytes(self.header, n_ctx, self.kv_type) + compute_bytes(self.header, n_ctx) + MARGIN_BYTES
        return self.model_bytes + own + (self.drafter.bytes_at(n_ctx) if self.drafter else 0)


@dataclass(frozen=True, slots=True)
class DrafterFootprint:
    """A drafter's file of ``model_bytes`` bytes."""

    header: GgufHeader
    model_bytes: int

    def bytes_at(self, n_ctx: int) -> int:
        """What it takes beside its target. An assistant has no KV cache; a draft model keeps every token in f16."""
        if self.header.architecture == ASSISTANT:
            return self.model_bytes + 2 * 4 * self.header.n_vocab
        shape = kv_shape(self.header)
        kv = 2 * _padded(n_ctx) * (shape.full_elements + shape.sliding_elements)
        return self.model_bytes + kv + compute_bytes(self.header, n_ctx)


def fit_sequences(footprint: Footprint, spare: int) -> int:
    """How many sequences may share one KV memory (unified), at most 8, with ``spare`` bytes to spend on them.

    Without a sliding window they cost nothing. With one, each needs a window of its own; at most 4 then, because every
    sliding layer looks through all of them.
    """
    shape = kv_shape(footprint.header)
    each = int(shape.window * shape.sliding_elements * _KV_TYPES[footprint.kv_type])
    return 8 if each == 0 else max(1, min(4, 1 + spare // each))


def fit_context(model: Footprint, available: int, wanted: int) -> int:
    """The largest context in tokens, a multiple of 256 and at most ``wanted``, that fits into ``available`` bytes.

    The model's own ``context_length`` is not exceeded (but 256 is the least). Raises NotEnoughMemory when not even
    4,096 tokens (or the wanted number, where that is smaller) fit.
    """
    header = model.header
    limit = min(wanted, header.context_length or wanted)
    most = max(1, limit // CONTEXT_STEP)
    least = min(most, MINIMUM_CONTEXT // CONTEXT_STEP)
    needed = model.bytes_at(least * CONTEXT_STEP)
    if needed > available:
        raise NotEnoughMemory(
            f"{header.name or 'The model'} needs {_gib(needed)} of memory for {least * CONTEXT_STEP:,} tokens and "
            f"{_gib(available)} are free; close other programs, or choose a smaller model (agent models list)."
        )
    while least < most:
        middle = (least + most + 1) // 2
        if model.bytes_at(middle * CONTEXT_STEP) <= available:
            least = middle
        else:
            most = middle - 1
    return least * CONTEXT_STEP


def available_bytes(root: Path = Path("/")) -> int:
    """Memory in bytes that this process may still take: the system's, or less where a control group limits it.

    ``root`` stands before ``proc`` and ``sys`` (tests build their own).
    """
    meminfo = _read(root / "proc/meminfo")
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    free = int(match[1]) * 1024 if match else _without_proc()
    return max(0, min([free, *_group_limits(root)]))


def process_bytes(pid: int) -> tuple[int, int]:
    """How much memory a process has, and how much of it is no mapped file (weights are, and the system may drop them).

    0 and 0 for a process that is not there. Where the system does not tell the two apart both are the whole.
    """
    text = _read(Path(f"/proc/{pid}/status"))
    if not text:
        whole = 0 if Path("/proc/self/status").exists() else _resident_by_ps(pid)
        return whole, whole
    found = {name: int(kib) << 10 for name, kib in re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", text, re.MULTILINE)}
    return found.get("VmRSS", 0), found.get("RssAnon", 0)


def _padded(n_ctx: int) -> int:
    return -(-n_ctx // CONTEXT_STEP) * CONTEXT_STEP


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _group_limits(root: Path) -> list[int]:
    """What each control group above this process leaves free; its file cache counts as free, it can be dropped."""
    limits: list[int] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = base / group.strip("/")
        # Inside a container the path named is often the host's and absent here; its own group is then the mount itself.
        for place in [folder, *folder.parents]:
            if not place.is_relative_to(base):
                break
            limit, used = _number(place / names[0]), _number(place / names[1])
            if limit is None or used is None or limit >= _NO_LIMIT:
                continue
            cached = re.search(rf"^{names[2]} (\d+)", _read(place / "memory.stat"), re.MULTILINE)
            limits.append(limit - used + (int(cached[1]) if cached else 0))
    return limits


def _without_proc() -> int:
    """macOS: free, inactive, speculative and purgeable pages of vm_stat; elsewhere half of the physical memory."""
    try:
        text = subprocess.run(["vm_stat"], capture_output=True, text=True, check=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    page = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)", text, re.MULTILINE)
    return int(page[1] if page else 4096) * sum(int(count) for count in pages)


def _resident_by_ps(pid: int) -> int:
    try:
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(done.stdout) << 10
    except (OSError, ValueError):
        return 0
