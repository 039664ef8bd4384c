"""Compiles the kernels (docs/decisions/0014); everything else about the package stands in pyproject.toml.

Here and not there, because setuptools may still change how native modules are written in that file.
"""

from pathlib import Path

from setuptools import Extension, setup

KERNELS = Path("inference/kernels")

setup(
    ext_modules=[
        Extension(
            "inference.kernels._products",
            sources=sorted(str(path) for path in KERNELS.glob("*.cpp")),
            depends=sorted(str(path) for path in KERNELS.glob("*.h")),
            language="c++",
            extra_compile_args=["-std=c++17", "-O3", "-g0", "-fopenmp"],
            extra_link_args=["-fopenmp"],
            # It is loaded with ctypes. Where it does not compile, llama.cpp computes everything, slower.
            optional=True,
        )
    ]
)
