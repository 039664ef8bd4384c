"""Code review: what a change breaks, said before it is committed.

``agent.review_command`` is the command; git's hooks are in ``agent.hooks``.
"""
