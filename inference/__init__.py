"""The engine: token ids in, token ids out.

It knows no message, no tool and no screen; importing this package loads no native library.
"""
