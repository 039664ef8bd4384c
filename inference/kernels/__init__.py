"""Products of quantised weights by our own code, for processors with AVX2, AVX-VNNI or AVX-512 VNNI.

It computes products and nothing else of a model; what it does not take stays with llama.cpp. The native library is
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

import numpy as np
import numpy.typing as npt

__all__ = [
    "BLOCKS",
    "CHECKED_RELEASES",
    "INSTRUCTIONS",
    "KERNELS_VERSION",
    "NOT_COMPILED",
    "Kernels",
    "open_kernels",
    "unused_because",
]

KERNELS_VERSION: Final = 1
"""Changes with the last bit of any result: a saved sequence is not continued by other kernels."""

CHECKED_RELEASES: Final = frozenset({"0.3.36"})
"""Releases of llama-cpp-python whose plug-in interface is what ggml_interface.h says; others go without kernels."""

BLOCKS: Final = {2: (32, 18), 6: (32, 22), 8: (32, 34), 12: (256, 144), 13: (256, 176), 14: (256, 210)}
"""Types of weights that are taken (ggml.h's numbers: Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K): elements, bytes a block."""

INSTRUCTIONS: Final = ("avx512", "avx_vnni", "avx2")
"""What products are compiled for, best first: ``enum kernel_set`` of quantized_matmul.h."""

NOT_COMPILED: Final = "they were not compiled"

_PRODUCT, _SCALE, _TANH = range(3)  # enum kernel_kind

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


class _Product(ctypes.Structure):
    """``struct kernel_product`` of quantized_matmul.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("n", ctypes.c_int64),
        ("k", ctypes.c_int64),
        ("m", ctypes.c_int64),
        ("weights", ctypes.c_void_p),
        ("row_bytes", ctypes.c_size_t),
        ("x", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
    )


class _Step(ctypes.Structure):
    """``struct kernel_step``."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("product", _Product),
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("factor", ctypes.c_float),
        ("added", ctypes.c_float),
    )


class Kernels:
    """The native library of this process; made by ``open_kernels``."""

    def __init__(self, library: Any) -> None:
        self._library = library
        number = ctypes.c_int
        library.kernel_takes.argtypes = (number, number, ctypes.c_int64, ctypes.c_int64)
        library.kernel_pool_new.restype = ctypes.c_void_p
        library.kernel_pool_free.argtypes = (ctypes.c_void_p,)
        library.kernel_compute.argtypes = (number, ctypes.c_void_p, ctypes.POINTER(_Step), number, number)
        self._lock = threading.Lock()
        self._registered: bool | None = None

    @property
    def instructions(self) -> tuple[str, ...]:
        """Those of ``INSTRUCTIONS`` that this processor has; the first is used."""
        return tuple(name for index, name in enumerate(INSTRUCTIONS) if self._library.kernel_supported(index))

    def takes(self, kind: int, rows: int, length: int, instructions: str) -> bool:
        """Whether ``rows`` rows of ``length`` elements of a type (a key of ``BLOCKS``) can be multiplied."""
        return bool(self._library.kernel_takes(INSTRUCTIONS.index(instructions), kind, rows, length))

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

    def multiply(
        self,
        kind: int,
        weights: npt.NDArray[np.uint8],
        x: npt.NDArray[np.float32],
        *,
        instructions: str,
        n_threads: int = 1,
    ) -> npt.NDArray[np.float32]:
        """``x`` [m, k] times the transpose of ``weights`` [n, bytes of k elements of type ``kind``]: [m, n].

        ``instructions`` must be among those of the property. ValueError for them, and for shapes that are not taken.
        """
        if instructions not in self.instructions:
            raise ValueError(f"this processor has no {instructions}")
        elements, size = BLOCKS[kind]
        (n, row_bytes), (m, k) = weights.shape, x.shape
        if row_bytes * elements != k * size or not self.takes(kind, n, k, instructions) or n_threads < 1 or m < 1:
            raise ValueError(f"no product of {n} rows of {row_bytes} bytes (type {kind}) with {m} rows of {k} floats")
        weights, x = np.ascontiguousarray(weights), np.ascontiguousarray(x)
        out = np.empty((m, n), np.float32)
        product = _Product(kind, n, k, m, weights.ctypes.data, row_bytes, x.ctypes.data, out.ctypes.data)
        self._take(_Step(_PRODUCT, product), instructions, n_threads)
        return out

    def scale(
        self, x: npt.NDArray[np.float32], factor: float, added: float, *, instructions: str, n_threads: int = 1
    ) -> npt.NDArray[np.float32]:
        """``factor * x + added``, element by element; ``instructions`` as above."""
        return self._each(_SCALE, x, (factor, added), instructions, n_threads)

    def tanh(self, x: npt.NDArray[np.float32], *, instructions: str, n_threads: int = 1) -> npt.NDArray[np.float32]:
        """The hyperbolic tangent of each element, to 1e-7; ``instructions`` as above."""
        return self._each(_TANH, x, (0.0, 0.0), instructions, n_threads)

    def _each(
        self, kind: int, x: npt.NDArray[np.float32], constants: tuple[float, float], instructions: str, n_threads: int
    ) -> npt.NDArray[np.float32]:
        x = np.ascontiguousarray(x)
        out = np.empty_like(x)
        self._take(_Step(kind, _Product(), x.ctypes.data, out.ctypes.data, x.size, *constants), instructions, n_threads)
        return out

    def _take(self, step: _Step, instructions: str, n_threads: int) -> None:
        pool = self._library.kernel_pool_new()
        try:
            chosen = INSTRUCTIONS.index(instructions)
            if self._library.kernel_compute(chosen, pool, ctypes.byref(step), 1, n_threads):
                raise MemoryError
        finally:
            self._library.kernel_pool_free(pool)


@functools.cache
def open_kernels() -> Kernels | None:
    """Those of this process; None where they were not compiled or the processor lacks the instructions."""
    path = _library()
    if path is None:
        return None
    try:
        kernels = Kernels(ctypes.CDLL(str(path)))
    except OSError:  # no OpenMP runtime, say
        return None
    return kernels if kernels.instructions else None


def unused_because(release: str) -> str:
    """Why a llama-cpp-python of this release computes products itself, in a few words; empty when it does not."""
    if _library() is None:
        return NOT_COMPILED
    if open_kernels() is None:
        return "this processor lacks the instructions"
    return "" if release in CHECKED_RELEASES else f"llama-cpp-python {release} has not been checked with them"


def _library() -> Path | None:
    paths = (Path(__file__).parent / f"_products{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in paths if path.exists()), None)
