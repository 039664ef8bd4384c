"""The door to llama-cpp-python's low-level API: the only file that imports llama_cpp.

It wraps nothing; its neighbours call ``lib``, or ``native`` where a declared type is wrong.
"""

from __future__ import annotations

import ctypes
import functools
from importlib import metadata
from typing import Any, cast

from llama_cpp import llama_cpp as lib

from inference.backend.native import NativeLog
from inference.kernels import open_kernels

__all__ = ["engine_version", "extension", "lib", "native", "native_log", "use_kernels"]

# The same module without its types, for calls that it declares wrongly (c_int32 for int, arrays for pointers).
native = cast("Any", lib)


@functools.cache
def native_log() -> NativeLog:
    """The one log of this process: llama.cpp knows a single callback, and it must outlive every model."""
    lib.llama_backend_init()
    log = NativeLog()
    native.llama_log_set(log.callback, None)
    return log


def extension() -> Any:
    """llama.cpp's unpublished functions (hidden rows, for drafters); ImportError where a build lacks one."""
    try:
        from llama_cpp import llama_cpp_ext
    except AttributeError as error:  # a symbol is missing in the shared library
        raise ImportError(str(error)) from error
    return llama_cpp_ext


def engine_version() -> str:
    """What wrote a saved state, and reads it: the bindings' version, which names one commit of llama.cpp."""
    return f"llama-cpp-python {_release()}"


def use_kernels(instructions: str | None = None) -> bool:
    """Let contexts that are made from now on compute products by ``inference.kernels``; whether they will.

    ``instructions`` names others than the best that this processor has; once chosen they stay.
    """
    kernels = open_kernels()
    return kernels is not None and kernels.register(_release(), _address_of, instructions)


def _release() -> str:
    return metadata.version("llama-cpp-python")


def _address_of(name: str) -> int | None:
    # The library that llama.cpp itself is in finds those that it has loaded; the wheel has copies of them by other
    # names, which a search by name would load a second time.
    function = getattr(native._lib, name, None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value
