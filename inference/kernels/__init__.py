"""Products of quantised weights and attention by our own code, for processors with AVX2, AVX-VNNI or AVX-512 VNNI.

It is a device among llama.cpp's; what it does not take stays with llama.cpp. The native library is
compiled when the package is installed, and is missing where that failed: then llama.cpp computes everything.
docs/decisions/0014 says why it is there.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

__all__ = [
    "CHECKED_RELEASES",
    "INSTRUCTIONS",
    "KERNELS_VERSION",
    "NOT_COMPILED",
    "OUTDATED",
    "Kernels",
    "library_path",
    "open_kernels",
    "unused_because",
]

KERNELS_VERSION: Final = 2
"""Changes with the last bit of any result: a saved sequence is not continued by other kernels."""

CHECKED_RELEASES: Final = frozenset({"0.3.36"})
"""Releases of llama-cpp-python whose plug-in interface is what ggml_interface.h says; others go without kernels."""

INSTRUCTIONS: Final = ("avx512", "avx_vnni", "avx2")
"""What products are compiled for, best first: ``enum kernel_set`` of quantized_matmul.h."""

NOT_COMPILED: Final = "they were not compiled"
OUTDATED: Final = "they were compiled from another version of their source"

# The functions of llama.cpp that a device needs, in the order of ``struct kernel_host``.
_HOST_FUNCTIONS = (
    "ggml_op_name",
    "ggml_unary_op_name",
    "ggml_tensor_overhead",
    "ggml_graph_n_nodes",
    "ggml_graph_node",
    "ggml_backend_cpu_buffer_type",
    "ggml_backend_cpu_buffer_from_ptr",
    "ggml_backend_buft_is_host",
    "ggml_backend_register",
)


class Kernels:
    """The native library of this process; made by ``open_kernels``."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._argmax = library.kernel_argmax
        self._argmax.argtypes = (ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._argmax.restype = ctypes.c_int64
        self._begin = library.kernel_begin
        self._begin.restype = ctypes.c_int64
        self._lock = threading.Lock()
        self._registered: bool | None = None

    @functools.cached_property
    def instructions(self) -> tuple[str, ...]:
        """Those of ``INSTRUCTIONS`` that this processor has; the first is used."""
        return tuple(name for index, name in enumerate(INSTRUCTIONS) if self._library.kernel_supported(index))

    def begin(self) -> int:
        """A computation of logits begins on this thread; its number, for ``argmax``."""
        return self._begin()

    def argmax(self, computation: int, rows: int, row: int, address: int) -> int | None:
        """Where row ``row`` of the ``rows`` rows of logits of a computation is largest, the first place of equals.

        ``address`` is where llama.cpp has put that row. None where it is not known: another computation has begun on
        this thread, or the logits did not come from here. It was found while they were computed: to look through
        the 1 MB of Gemma's once more takes a twentieth of what drafting them takes.
        """
        found = self._argmax(computation, rows, row, address)
        return None if found < 0 else found

    def register(self, release: str, address_of: Callable[[str], int | None], instructions: str | None = None) -> bool:
        """Make llama.cpp use them in every context that is made from now on; whether it does.

        ``release`` is the version of the bindings, ``address_of`` finds a function of llama.cpp's libraries,
        ``instructions`` are the best without it. Once said it stays, so the second call only answers.
        """
        with self._lock:  # models may be loaded in several threads
            if self._registered is None:
                chosen = INSTRUCTIONS.index(instructions or self.instructions[0])
                self._registered = release in CHECKED_RELEASES and self._register(address_of, chosen)
            return self._registered

    def _register(self, address_of: Callable[[str], int | None], chosen: int) -> bool:
        addresses = [address_of(name) for name in _HOST_FUNCTIONS]
        if None in addresses:
            return False
        host = (ctypes.c_void_p * len(addresses))(*addresses)
        return self._library.kernel_register(host, chosen) == 0


def library_path() -> Path | None:
    """Where the native library is; None where it was not compiled."""
    paths = (Path(__file__).parent / f"_products{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in paths if path.exists()), None)


@functools.cache
def open_kernels() -> Kernels | None:
    """Those of this process; None where they were not compiled, do not load, or the processor cannot run them."""
    found = _load()
    return found if isinstance(found, Kernels) else None


def unused_because(release: str) -> str:
    """Why a llama-cpp-python of this release computes products itself, in a few words; empty when it does not."""
    found = _load()
    if isinstance(found, str):
        return found
    return "" if release in CHECKED_RELEASES else f"llama-cpp-python {release} has not been checked with them"


def _load() -> Kernels | str:
    """The kernels, or what keeps them from being used."""
    path = library_path()
    if path is None:
        return NOT_COMPILED
    try:
        kernels = Kernels(ctypes.CDLL(str(path)))
    except OSError as error:  # no OpenMP runtime, say
        return f"they do not load ({error})"
    except AttributeError:
        return OUTDATED
    return kernels if kernels.instructions else "this processor lacks the instructions"
