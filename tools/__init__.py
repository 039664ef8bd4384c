"""The hands: one file per tool.

They know no model, no session and no screen; importing this package does nothing.
"""
