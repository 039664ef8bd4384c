"""The face: a Textual application over the same Session and events as the command line.

It decides nothing about models, tools or permissions. Importing the package loads no textual.
"""
