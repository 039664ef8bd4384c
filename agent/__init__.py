"""The mind: a user message in, a stream of events out.

It draws no screen and imports no llama.cpp; importing this package does nothing.
"""
