"""Commands are confined here: what they may touch, by which means, and what is looked at after each.

What may run at all is decided in ``agent.permissions``; what is promised, and what is not: docs/security.md.
"""
