"""Numbers as people read them: times, tokens, memory; pure."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def tokens_text(count: int) -> str:
    """``830``, ``4.2k``, ``32k``, ``1.1M``."""
    if count < 1_000:
        return str(count)
    if count < 1_000_000:
        return f"{count / 1_000:.1f}k" if count < 10_000 else f"{round(count / 1_000)}k"
    return f"{count / 1_000_000:.1f}M"


def context_text(count: int) -> str:
    """The size of a context: ``32k`` for 32,768, as everybody calls it; other sizes as ``tokens_text``."""
    return f"{count // 1_024}k" if count % 1_024 == 0 else tokens_text(count)


def bytes_text(count: int) -> str:
    """``310 MB``, ``1.9 GB``; powers of ten, as sizes of files are told elsewhere."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def bar(share: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a meter of ``width`` cells."""
    full = max(0, min(width, round(share * width)))
    return "━" * full, "─" * (width - full)
