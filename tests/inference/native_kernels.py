"""The kernels' native library, called with arrays: the way to it for tests. llama.cpp calls it by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.gguf_header import TENSOR_TYPES
from inference.kernels import INSTRUCTIONS, library_path, open_kernels

KINDS = (2, 6, 8, 12, 13, 14)  # ggml.h's numbers of the types that are taken: Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K
_F16, _Q8_0 = 1, 8
_PRODUCT, _SCALE, _TANH, _ATTENTION = range(4)  # enum kernel_kind


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


class _Attention(ctypes.Structure):
    """``struct kernel_attention``."""

    _fields_ = (
        ("k_type", ctypes.c_int),
        ("v_type", ctypes.c_int),
        *((name, ctypes.c_int64) for name in ("d_k", "d_v", "n_q", "n_kv", "heads", "kv_heads", "streams")),
        *((name, ctypes.c_void_p) for name in ("q", "k", "v", "mask")),
        *((f"{name}_{step}", ctypes.c_size_t) for name in "qkv" for step in ("row", "head", "stream")),
        ("mask_row", ctypes.c_size_t),
        ("mask_stream", ctypes.c_size_t),
        ("out", ctypes.c_void_p),
        ("scale", ctypes.c_float),
    )


class _Step(ctypes.Structure):
    """``struct kernel_step``."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("product", _Product),
        ("attention", _Attention),
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("factor", ctypes.c_float),
        ("added", ctypes.c_float),
    )


class _Best(ctypes.Structure):
    """``struct kernel_best``."""

    _fields_ = (("index", ctypes.c_int64), ("value", ctypes.c_float))


class Capped(NamedTuple):
    """The last result, and where each of its rows is largest; -1 where that was not said."""

    rows: npt.NDArray[np.float32]
    best: list[int]


class NativeKernels:
    """Steps of the library that ``open_kernels`` found."""

    def __init__(self, library: Any, instructions: tuple[str, ...]) -> None:
        self._library, self.instructions = library, instructions
        number = ctypes.c_int
        library.kernel_takes.argtypes = (number, number, ctypes.c_int64, ctypes.c_int64)
        library.kernel_pool_new.restype = ctypes.c_void_p
        library.kernel_pool_free.argtypes = (ctypes.c_void_p,)
        library.kernel_attends.argtypes = (number, ctypes.POINTER(_Attention))
        library.kernel_compute.argtypes = (
            number,
            ctypes.c_void_p,
            ctypes.POINTER(_Step),
            number,
            number,
            ctypes.c_void_p,
        )

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
        return self.capped(kind, weights, x, None, (), instructions=instructions, n_threads=n_threads).rows

    def capped(
        self,
        kind: int,
        weights: npt.NDArray[np.uint8],
        x: npt.NDArray[np.float32],
        cap: float | None,
        places: Sequence[int],
        *,
        instructions: str,
        n_threads: int = 1,
    ) -> Capped:
        """The product y of ``multiply`` and then ``cap * tanh(y / cap)``, asked for at once; without a cap y.

        In one piece of memory y stands in front, and each of the three results behind it begins at the element of
        ``places``; they may overlap, as llama.cpp uses memory again.
        """
        if instructions not in self.instructions:
            raise ValueError(f"this processor has no {instructions}")
        elements, size = TENSOR_TYPES[kind]
        (n, row_bytes), (m, k) = weights.shape, x.shape
        if row_bytes * elements != k * size or not self.takes(kind, n, k, instructions) or n_threads < 1 or m < 1:
            raise ValueError(f"no product of {n} rows of {row_bytes} bytes (type {kind}) with {m} rows of {k} floats")
        weights, x = np.ascontiguousarray(weights), np.ascontiguousarray(x)
        memory = np.empty(max((0, *places)) + m * n, np.float32)
        starts = [memory.ctypes.data + 4 * place for place in (0, *places)]
        product = _Product(kind, n, k, m, weights.ctypes.data, row_bytes, x.ctypes.data, starts[0])
        steps = [_Step(_PRODUCT, product)]
        if cap is not None:
            for number, (step, factor) in enumerate(((_SCALE, 1 / cap), (_TANH, 0.0), (_SCALE, cap))):
                steps.append(_Step(step, _Product(), _Attention(), *starts[number : number + 2], m * n, factor, 0.0))
        best = (_Best * m)(*[(-1, -np.inf)] * m)
        self._take(steps, instructions, n_threads, best)
        rows = memory[(0, *places)[-1] :][: m * n].reshape(m, n)
        return Capped(rows, [int(each.index) for each in best])

    def attend(
        self,
        q: npt.NDArray[np.float32],
        k: npt.NDArray[np.float16] | npt.NDArray[np.uint8],
        v: npt.NDArray[np.float16] | npt.NDArray[np.uint8],
        mask: npt.NDArray[np.float16] | None,
        scale: float,
        *,
        instructions: str,
        n_threads: int = 1,
    ) -> npt.NDArray[np.float32]:
        """``softmax(scale * q k^T + mask) v`` for ``q`` [streams, queries, heads, length of keys], ``k`` and ``v``
        [streams, positions, heads of the memory, length], ``mask`` [streams or 1, queries, positions]. Keys and values
        of bytes are blocks of Q8_0.

        ValueError for shapes that are not taken.
        """
        arrays = [np.ascontiguousarray(each) for each in (q, k, v)]
        (streams, n_q, heads, d_k), (_, n_kv, kv_heads, d_v) = q.shape, v.shape
        types = [_Q8_0 if each.dtype == np.uint8 else _F16 for each in (k, v)]
        d_v = d_v // 34 * 32 if types[1] == _Q8_0 else d_v
        out = np.empty((streams, n_q, heads, d_v), np.float32)
        attention = _Attention(
            *types, d_k, d_v, n_q, n_kv, heads, kv_heads, streams, *(each.ctypes.data for each in arrays)
        )
        for name, each in zip("qkv", arrays, strict=True):
            for step, bytes_of in zip(("stream", "row", "head"), each.strides, strict=False):
                setattr(attention, f"{name}_{step}", bytes_of)
        if mask is not None:
            mask = np.ascontiguousarray(mask)
            attention.mask, attention.mask_row = mask.ctypes.data, mask.strides[1]
            attention.mask_stream = mask.strides[0] if len(mask) > 1 else 0
        attention.out, attention.scale = out.ctypes.data, scale
        if not self._library.kernel_attends(INSTRUCTIONS.index(instructions), ctypes.byref(attention)):
            raise ValueError(f"no attention of {n_q} queries and {heads} heads over {kv_heads}")
        self._take([_Step(_ATTENTION, _Product(), attention)], instructions, n_threads)
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
        step = _Step(kind, _Product(), _Attention(), x.ctypes.data, out.ctypes.data, x.size, *constants)
        self._take([step], instructions, n_threads)
        return out

    def _take(self, steps: Sequence[_Step], instructions: str, n_threads: int, best: Any = None) -> None:
        pool = self._library.kernel_pool_new()
        try:
            chosen = INSTRUCTIONS.index(instructions)
            array = (_Step * len(steps))(*steps)
            if self._library.kernel_compute(chosen, pool, array, len(steps), n_threads, best):
                raise MemoryError
        finally:
            self._library.kernel_pool_free(pool)


def native_kernels() -> NativeKernels | None:
    """None where ``open_kernels`` finds none."""
    path, found = library_path(), open_kernels()
    return None if path is None or found is None else NativeKernels(ctypes.CDLL(str(path)), found.instructions)
