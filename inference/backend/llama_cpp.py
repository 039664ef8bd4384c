"""The real Backend, on llama-cpp-python's low-level API; the only file that imports llama_cpp.

It knows no request and no cache policy.
"""

from __future__ import annotations

import llama_cpp  # noqa: F401
