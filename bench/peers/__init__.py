"""Our engine beside llama.cpp's own server and the high-level ``Llama``, in one interleaved run with medians."""
