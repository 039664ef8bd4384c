"""The kernels' native library, called with arrays: the way to it for tests. llama.cpp calls it by itself."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.gguf_header import TENSOR_TYPES
from inference.kernels import INSTRUCTIONS, library_path, open_kernels

KINDS = (2, 6, 8, 12, 13, 14)  # ggml.h's numbers of the types that are taken: Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K
_PRODUCT, _SCALE, _TANH = range(3)  # enum kernel_kind


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


class NativeKernels:
    """Steps of the library that ``open_kernels`` found, one at a time."""

    def __init__(self, library: Any, instructions: tuple[str, ...]) -> None:
        self._library, self.instructions = library, instructions
        number = ctypes.c_int
        library.kernel_takes.argtypes = (number, number, ctypes.c_int64, ctypes.c_int64)
        library.kernel_pool_new.restype = ctypes.c_void_p
        library.kernel_pool_free.argtypes = (ctypes.c_void_p,)
        library.kernel_compute.argtypes = (number, ctypes.c_void_p, ctypes.POINTER(_Step), number, number)

    def takes(self, kind: int, rows: int, length: int, instructions: str) -> bool:
        """Whether ``rows`` rows of ``length`` elements of a type (one of ``KINDS``) can be multiplied."""
        return bool(self._library.kernel_takes(INSTRUCTIONS.index(instructions), kind, rows, length))

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
        elements, size = TENSOR_TYPES[kind]
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


def native_kernels() -> NativeKernels | None:
    """None where ``open_kernels`` finds none."""
    path, found = library_path(), open_kernels()
    return None if path is None or found is None else NativeKernels(ctypes.CDLL(str(path)), found.instructions)
